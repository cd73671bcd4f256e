import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { makeKeyPair } from '@sluice/trust';
import { describe, expect, it } from 'vitest';
import { daemonConfigs } from '../../../test/world/configs.ts';
import { scratch, sluice } from './sluice.ts';

const PORTS = { link: 4433, redis: 1, senderHttp: 0, receiverHttp: 0, importerHttp: 0, harborA: 1, harborB: 1 };
const digestOf = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** A sender's configuration with a key for checkpoints, and its ledger with some bundles. */
function staging(bundles = 2) {
  const dir = scratch();
  mkdirSync(join(dir, 'keys'));
  for (const name of ['transport', 'checkpoint']) {
    const { privatePem, publicPem } = makeKeyPair('Ed25519');
    writeFileSync(join(dir, 'keys', `${name}.key.pem`), privatePem, { mode: 0o600 });
    writeFileSync(join(dir, 'keys', `${name}.pub.pem`), publicPem);
  }
  writeFileSync(join(dir, 'keys/link.key'), 'ab'.repeat(32), { mode: 0o600 });
  const config = join(dir, 'sender.json');
  const { sender } = daemonConfigs(dir, PORTS, { host: '127.0.0.1', port: 4433 });
  const ledgerConfig = { checkpointKeyFile: join(dir, 'keys/checkpoint.key.pem') };
  writeFileSync(config, JSON.stringify({ ...sender, ledger: ledgerConfig }));
  const path = join(dir, 'sender/ledger.sqlite');
  const ledger = new SenderLedger(path);
  ledger.nextEpoch(Math.floor(Date.now() / 1000) - 1_577_836_800);
  const seal = (n: number): void => {
    ledger.sealBundle({
      ...{ channel: 'prod', source: `${n}`, name: `bundle ${n}`, release: digestOf(`release ${n}`), releaseSize: 1 },
      ...{ objects: [], bytes: 1 },
      make: (sequence) => ({ id: digestOf(`envelope ${sequence}`), envelope: Buffer.from(`envelope ${sequence}`) }),
    });
  };
  for (let n = 1; n <= bundles; n += 1) seal(n);
  return { dir, config, path, ledger, seal, to: join(dir, 'backup') };
}

const verify = (config: string, ...args: string[]) => sluice('ledger', 'verify', 'sender', '--config', config, ...args);

describe('sluice ledger verify', { timeout: 60_000 }, () => {
  it('says that all holds, of a ledger that is in use', () => {
    const { config, ledger } = staging();
    const { status, out } = verify(config);
    expect([status, out]).toEqual([
      0,
      expect.stringMatching(/entries +1 to 3\n.*\n.*2\n.*head +[0-9a-f]{64}\nall holds\n$/s),
    ]);
    ledger.close();
  });

  it('names the first bad entry with status 3, and a store that lacks with status 4', () => {
    const { dir, config, path, ledger } = staging();
    ledger.close();
    expect(verify(config, '--store')).toMatchObject({
      status: 4,
      out: expect.stringContaining(`bad blob     ${digestOf('release 1')}`) as string,
    });
    const text = readFileSync(path);
    const at = text.indexOf('"sequence":2');
    text.write('9', at + '"sequence":'.length);
    writeFileSync(path, text);
    const { status, out } = verify(config);
    expect([status, out]).toEqual([3, expect.stringContaining('bad entry    3: its hash is not that of its content')]);
    const json = JSON.parse(sluice('ledger', 'verify', '--ledger', path, '--json').out) as { faults: unknown[] };
    expect(json.faults[0]).toMatchObject({ what: 'chain', entry: 3 });
    expect(dir).toBeTruthy();
  });
});

describe('sluice backup and restore', { timeout: 60_000 }, () => {
  it('take a ledger that is in use, and put it back with higher sessions and no number to give', () => {
    const { dir, config, path, ledger, seal, to } = staging();
    const made = sluice('backup', 'sender', '--config', config, to);
    expect([made.status, made.err]).toEqual([0, '']);
    seal(3);
    ledger.close();
    expect(readdirSync(to).sort()).toEqual(['config', 'ledger.sqlite', 'manifest.json', 'manifest.sig']);
    expect(readFileSync(join(to, 'manifest.json'), 'utf8')).not.toContain('key.pem');

    expect(sluice('restore', 'sender', '--config', config, to)).toMatchObject({
      status: 1,
      err: expect.stringContaining('restore-refused') as string,
    });
    renameSync(join(dir, 'sender'), join(dir, 'lost'));
    const key = join(dir, 'keys/checkpoint.pub.pem');
    const restored = sluice('restore', 'sender', '--config', config, '--key', key, to);
    expect([restored.status, restored.out]).toEqual([0, expect.stringContaining(`restored     ${path}`)]);
    expect(readdirSync(join(dir, 'sender'))).toEqual(['ledger.sqlite']);
    const again = new SenderLedger(path);
    expect(again.head('prod').sequence).toBe(2);
    expect(again.heads.unconfirmed()).toEqual(['prod']);
    const now = Math.floor(Date.now() / 1000) - 1_577_836_800;
    expect(again.nextEpoch(0)).toBeGreaterThan(now - 60);
    again.heads.confirm('prod', { sequence: 3, id: digestOf('envelope 3') });
    expect(again.head('prod')).toEqual({ sequence: 3, id: digestOf('envelope 3') });
    expect(again.recent('prod', 10).map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect(again.events.about('').map(({ kind }) => kind)).toEqual(['restored']);
    again.close();
    expect(verify(config).status).toBe(0);
  });

  it('take no session that the clock cannot vouch for, unless one is named', () => {
    const { dir, config, path, ledger, to } = staging();
    ledger.close();
    sluice('backup', 'sender', '--config', config, to);
    const manifest = join(to, 'manifest.json');
    const text = readFileSync(manifest, 'utf8').replace(/"created": \d+/, '"created": 9999999999999');
    writeFileSync(manifest, text);
    renameSync(join(dir, 'sender'), join(dir, 'lost'));
    expect(sluice('restore', 'sender', '--config', config, to)).toMatchObject({
      status: 1,
      err: expect.stringContaining('the clock is behind') as string,
    });
    expect(existsSync(path)).toBe(false);
    expect(sluice('restore', 'sender', '--config', config, '--session-above', '900000000', to).status).toBe(0);
    const again = new SenderLedger(path);
    expect(again.nextEpoch(0)).toBe(900_000_001);
    again.close();
    expect(
      sluice('restore', 'sender', '--config', config, '--key', join(dir, 'keys/checkpoint.pub.pem'), to),
    ).toMatchObject({
      status: 1,
      err: expect.stringContaining('the signature of its manifest does not hold') as string,
    });
  });

  it('bring back configuration, and keys when they are asked for, where they are not', () => {
    const { dir, config, ledger, to } = staging();
    ledger.close();
    expect(sluice('backup', 'sender', '--config', config, '--with-keys', to).status).toBe(0);
    const before = readFileSync(config, 'utf8');
    for (const lost of ['sender', 'keys', 'sender.json']) rmSync(join(dir, lost), { recursive: true });
    const restored = sluice('restore', 'sender', '--config', config, to);
    expect([restored.status, restored.err.includes('Start the sender')]).toEqual([0, true]);
    expect(readFileSync(config, 'utf8')).toBe(before);
    expect(readFileSync(join(dir, 'keys/link.key'), 'utf8')).toBe('ab'.repeat(32));
  });

  it.each<[string, (to: string) => void]>([
    ['a file that was changed', (to) => writeFileSync(join(to, 'ledger.sqlite'), 'x')],
    ['a file that is gone', (to) => rmSync(join(to, 'ledger.sqlite'))],
    ['no manifest', (to) => rmSync(join(to, 'manifest.json'))],
    [
      'a manifest that leads out of it',
      (to) => {
        const path = join(to, 'manifest.json');
        writeFileSync(path, readFileSync(path, 'utf8').replace('"path": "ledger.sqlite"', '"path": "config/../../x"'));
      },
    ],
  ])('refuse a backup with %s', (_what, harm) => {
    const { dir, config, path, ledger, to } = staging();
    ledger.close();
    sluice('backup', 'sender', '--config', config, to);
    renameSync(join(dir, 'sender'), join(dir, 'lost'));
    harm(to);
    expect(sluice('restore', 'sender', '--config', config, to)).toMatchObject({
      status: 1,
      err: expect.stringContaining('backup-damaged') as string,
    });
    expect(existsSync(path)).toBe(false);
  });
});
