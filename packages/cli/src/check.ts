import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { EXIT } from '@sluice/base';
import { createCodec } from '@sluice/fec';
import { openTagAccelerator } from '@sluice/trust';
import { openSource } from '@sluice/udp';
import { config } from './config.ts';
import { say } from './say.ts';

/**
 * `sluice DAEMON --check [--config FILE]`: is everything there that the daemon will need? Its code with all that it loads,
 * the native binding, the kernels, SQLite; and its configuration, when there is one. Nothing is started or written.
 */
export async function checkDaemon(
  daemon: string,
  load: () => Promise<unknown>,
  configFile: string | undefined,
): Promise<number> {
  await load();
  new DatabaseSync(':memory:').close();
  const file = configFile ?? `/etc/sluice/${daemon}.json`;
  const lines = [`${daemon}: its code is there, under Node ${process.versions.node}`];
  const socket = await openSource({ host: '127.0.0.1', port: 0, receiveBuffer: 2 ** 16 }, 'auto');
  lines.push(`sockets: ${socket.io} (${socket.why})`);
  const tags = await openTagAccelerator(socket.io);
  await socket.close();
  lines.push(`tags: ${tags.why}`, `repair: ${createCodec().kind}`);
  say(...lines);
  if (configFile === undefined && !existsSync(file)) {
    say(`configuration: none yet at ${file}`);
    return EXIT.ok;
  }
  return config(['check', daemon, file]);
}
