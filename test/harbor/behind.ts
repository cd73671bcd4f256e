import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Behind {
  readonly url: string;
  readonly dir: string;
  stop(): Promise<void>;
}

/** Debian's docker-registry on a free port of the loopback interface, its storage under `dir`. */
export async function startRegistryBehind(dir: string): Promise<Behind> {
  mkdirSync(join(dir, 'storage'), { recursive: true });
  const config = {
    version: 0.1,
    log: { level: 'info', formatter: 'text' },
    storage: { filesystem: { rootdirectory: join(dir, 'storage') }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:0', relativeurls: true },
  };
  const path = join(dir, 'registry.yml');
  writeFileSync(path, JSON.stringify(config));
  const child = spawn('docker-registry', ['serve', path], { stdio: ['ignore', 'ignore', 'pipe'] });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once('error', reject);
  child.once('exit', () => reject(new Error('docker-registry ended before it listened')));
  createInterface(child.stderr).on('line', (line) => {
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
  });
  const url = await promise;
  const stop = async (): Promise<void> => {
    const ended = Promise.withResolvers<undefined>();
    child.once('exit', () => ended.resolve(undefined));
    child.kill('SIGKILL');
    await ended.promise;
  };
  return { url, dir, stop };
}
