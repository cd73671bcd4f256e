import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ReceiverLedger, SenderLedger } from '@sluice/ledger';
import { makeKeyPair } from '@sluice/trust';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { daemonConfigs } from '../../../test/world/configs.ts';
import { scratch, sluice } from './sluice.ts';

const PORTS = { link: 4433, redis: 1, senderHttp: 0, receiverHttp: 0, importerHttp: 0, harborA: 1, harborB: 1 };

/** `/etc/sluice` as docs/OPERATING.md and deploy/examples have it: secrets are credentials, `keys/DAEMON/NAME`. */
function etc() {
  const dir = scratch();
  for (const each of ['keys/sender', 'keys/receiver', 'keys/link', 'trust'])
    mkdirSync(join(dir, each), { recursive: true });
  const transport = makeKeyPair('Ed25519');
  writeFileSync(join(dir, 'keys/sender/prod.transport.key.pem'), transport.privatePem, { mode: 0o600 });
  for (const daemon of ['sender', 'link'])
    writeFileSync(join(dir, `keys/${daemon}/prod.link`), 'ab'.repeat(32), { mode: 0o600 });
  for (const name of ['transport', 'release', 'receipt'])
    writeFileSync(join(dir, `trust/${name}.pub.pem`), makeKeyPair('Ed25519').publicPem);
  const { sender, receiver, link } = daemonConfigs(dir, PORTS, { host: '127.0.0.1', port: 4433 });
  const credential = (name: string) => `\${CREDENTIALS_DIRECTORY}/key_${name}`;
  const channel = {
    ...sender.channels[0],
    linkKeyFile: credential('prod.link'),
    transportKeyFile: credential('prod.transport.key.pem'),
  };
  writeFileSync(join(dir, 'sender.json'), JSON.stringify({ ...sender, channels: [channel] }));
  const policy = {
    ...receiver.channels[0],
    transportKeyFiles: [join(dir, 'trust/transport.pub.pem')],
    releaseKeyFiles: [join(dir, 'trust/release.pub.pem')],
  };
  const rest = { ...receiver, link: undefined };
  const importerKeyFiles = [join(dir, 'trust/receipt.pub.pem')];
  writeFileSync(join(dir, 'receiver.json'), JSON.stringify({ ...rest, channels: [policy], importerKeyFiles }));
  const keys = [{ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', keyFile: credential('prod.link') }];
  writeFileSync(join(dir, 'link.json'), JSON.stringify({ ...link, keys }));
  new SenderLedger(join(dir, 'sender/ledger.sqlite')).close();
  new ReceiverLedger(join(dir, 'receiver/ledger.sqlite')).close();
  mkdirSync(join(dir, 'link'), { recursive: true });
  writeFileSync(join(dir, 'link/highest-live-tsi'), '200000000\n');
  writeFileSync(join(dir, 'link/ended-keys'), `${'ab'.repeat(32)}\n`);
  return { dir, config: (daemon: string) => join(dir, `${daemon}.json`) };
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('sluice backup', { timeout: 60_000 }, () => {
  it('does nothing to a backup that lies there already', () => {
    const { dir, config } = etc();
    vi.stubEnv('CREDENTIALS_DIRECTORY', join(dir, 'credentials'));
    cpSync(join(dir, 'keys/sender'), join(dir, 'credentials'), { recursive: true });
    for (const name of readdirSync(join(dir, 'credentials')))
      renameSync(join(dir, 'credentials', name), join(dir, 'credentials', `key_${name}`));
    const to = join(dir, 'backup');
    expect(sluice('backup', 'sender', '--config', config('sender'), to)).toMatchObject({ status: 0 });
    const ledger = new SenderLedger(join(dir, 'sender/ledger.sqlite'));
    ledger.nextEpoch(1);
    ledger.close();
    expect(sluice('backup', 'sender', '--config', config('sender'), to).status).not.toBe(0);
    renameSync(join(dir, 'sender'), join(dir, 'lost'));
    const restored = sluice('restore', 'sender', '--config', config('sender'), to);
    expect(restored).toMatchObject({ status: 0 });
  });

  it('works by the one documented command, and has the keys that systemd hands over', () => {
    const { dir, config } = etc();
    const to = join(dir, 'backup');
    const made = sluice('backup', 'sender', '--config', config('sender'), '--with-keys', to);
    expect(made).toMatchObject({ status: 0, err: '' });
    for (const lost of ['sender', 'keys/sender', 'sender.json']) rmSync(join(dir, lost), { recursive: true });
    expect(sluice('restore', 'sender', '--config', config('sender'), to)).toMatchObject({ status: 0 });
    expect(readFileSync(join(dir, 'keys/sender/prod.link'), 'utf8')).toBe('ab'.repeat(32));
    expect(existsSync(join(dir, 'keys/sender/prod.transport.key.pem'))).toBe(true);
    expect(sluice('ledger', 'verify', 'sender', '--config', config('sender'))).toMatchObject({ status: 0 });
  });

  it('says so where a key that is named is not there', () => {
    const { dir, config } = etc();
    const credentials = join(dir, 'credentials');
    mkdirSync(credentials);
    for (const name of readdirSync(join(dir, 'keys/sender')))
      renameSync(join(dir, 'keys/sender', name), join(credentials, `key_${name}`));
    vi.stubEnv('CREDENTIALS_DIRECTORY', credentials);
    const made = sluice('backup', 'sender', '--config', config('sender'), '--with-keys', join(dir, 'backup'));
    expect(made.status).not.toBe(0);
    expect(made.err).toContain('prod.link');
  });
});

describe('sluice restore', { timeout: 60_000 }, () => {
  function saved() {
    const { dir, config } = etc();
    const to = join(dir, 'backup');
    // The receiver's example names no secret, link's does: handed over as the unit would.
    mkdirSync(join(dir, 'credentials'));
    cpSync(join(dir, 'keys/link/prod.link'), join(dir, 'credentials/key_prod.link'));
    vi.stubEnv('CREDENTIALS_DIRECTORY', join(dir, 'credentials'));
    const made = sluice('backup', 'receiver', '--config', config('receiver'), '--link', config('link'), to);
    expect(made).toMatchObject({ status: 0 });
    return { dir, config, to };
  }

  it("does not leave out link's session without a word", () => {
    const { dir, config, to } = saved();
    for (const lost of ['receiver', 'link']) renameSync(join(dir, lost), join(dir, `${lost}-lost`));
    const { status, err } = sluice('restore', 'receiver', '--config', config('receiver'), to);
    expect([status, existsSync(join(dir, 'receiver/ledger.sqlite'))]).toEqual([1, false]);
    expect(err).toContain('--link');
    expect(sluice('restore', 'receiver', '--config', config('receiver'), '--link', config('link'), to).status).toBe(0);
    expect(readFileSync(join(dir, 'link/highest-live-tsi'), 'utf8')).toBe('200000000\n');
  });

  it('forgets no link key that was ended', () => {
    const { dir, config, to } = saved();
    for (const lost of ['receiver', 'link']) renameSync(join(dir, lost), join(dir, `${lost}-lost`));
    const args = ['--config', config('receiver'), '--link', config('link'), to];
    expect(sluice('restore', 'receiver', ...args).status).toBe(0);
    expect(readFileSync(join(dir, 'link/ended-keys'), 'utf8')).toBe(`${'ab'.repeat(32)}\n`);
  });

  it('cut off anywhere goes on where it is said again', () => {
    const { dir, config, to } = saved();
    for (const lost of ['receiver', 'link']) renameSync(join(dir, lost), join(dir, `${lost}-lost`));
    const args = ['restore', 'receiver', '--config', config('receiver'), '--link', config('link'), to];
    // The place of link's state cannot be written to: as good as the power that goes there.
    writeFileSync(join(dir, 'link'), '');
    expect(sluice(...args).status).not.toBe(0);
    rmSync(join(dir, 'link'));
    const again = sluice(...args);
    expect(again).toMatchObject({ status: 0 });
    expect(readFileSync(join(dir, 'link/highest-live-tsi'), 'utf8')).toBe('200000000\n');
  });
});
