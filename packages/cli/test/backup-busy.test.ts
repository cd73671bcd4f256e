import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SenderLedger, verifyLedger } from '@sluice/ledger';
import { makeKeyPair } from '@sluice/trust';
import { describe, expect, it, onTestFinished } from 'vitest';
import { daemonConfigs } from '../../../test/world/configs.ts';
import { running, scratch, sluice } from './sluice.ts';

const PORTS = { link: 4433, redis: 1, senderHttp: 0, receiverHttp: 0, importerHttp: 0, harborA: 1, harborB: 1 };

function staging() {
  const dir = scratch();
  mkdirSync(join(dir, 'keys'));
  writeFileSync(join(dir, 'keys/transport.key.pem'), makeKeyPair('Ed25519').privatePem, { mode: 0o600 });
  writeFileSync(join(dir, 'keys/ticket.pub.pem'), makeKeyPair('Ed25519').publicPem, { mode: 0o644 });
  writeFileSync(join(dir, 'keys/link.key'), 'ab'.repeat(32), { mode: 0o600 });
  const { sender } = daemonConfigs(dir, PORTS, { host: '127.0.0.1', port: 4433 });
  const channels = [{ ...sender.channels[0], ticketKeyFiles: [join(dir, 'keys/ticket.pub.pem')] }];
  const config = join(dir, 'sender.json');
  writeFileSync(config, JSON.stringify({ ...sender, channels }), { mode: 0o644 });
  const path = join(dir, 'sender/ledger.sqlite');
  new SenderLedger(path).close();
  return { dir, config, path, to: join(dir, 'backup') };
}

describe('sluice backup', { timeout: 90_000 }, () => {
  it('comes to its end however often the daemon writes', async () => {
    const { config, path, to } = staging();
    const large = new DatabaseSync(path);
    large.exec('PRAGMA synchronous = OFF; CREATE TABLE filling (bytes BLOB); BEGIN');
    for (let i = 0; i < 60; i += 1) large.prepare('INSERT INTO filling VALUES (zeroblob(1000000))').run();
    large.exec('COMMIT; CREATE TABLE beat (n INTEGER); INSERT INTO beat VALUES (0)');
    large.close();
    // As a pass that is on air, which is written down once a second, is to a ledger that is larger.
    const busy = `const { DatabaseSync } = require('node:sqlite');
      const ledger = new DatabaseSync(${JSON.stringify(path)});
      ledger.exec('PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000');
      setInterval(() => ledger.exec('UPDATE beat SET n = n + 1'), 1);`;
    const writer = spawn(process.execPath, ['-e', busy], { stdio: 'ignore' });
    onTestFinished(() => void writer.kill());
    const made = await Promise.race([
      running('backup', 'sender', '--config', config, to),
      new Promise((resolve) => setTimeout(resolve, 25_000, 'not done')),
    ]);
    expect(made).toMatchObject({ status: 0 });
    expect(verifyLedger(join(to, 'ledger.sqlite')).faults).toEqual([]);
  });
});

describe('sluice restore', { timeout: 60_000 }, () => {
  it('puts back what is no secret so that the daemon, which is not root, can read it', () => {
    const { dir, config, to } = staging();
    expect(sluice('backup', 'sender', '--config', config, '--with-keys', to).status).toBe(0);
    for (const lost of ['sender', 'keys', 'sender.json']) rmSync(join(dir, lost), { recursive: true });
    mkdirSync(join(dir, 'keys'));
    chmodSync(join(dir, 'keys'), 0o755);
    expect(sluice('restore', 'sender', '--config', config, to).status).toBe(0);
    const modeOf = (file: string): string => (statSync(join(dir, file)).mode & 0o777).toString(8);
    expect([modeOf('sender.json'), modeOf('keys/ticket.pub.pem')]).toEqual(['644', '644']);
    expect(modeOf('keys/link.key')).toBe('600');
  });
});
