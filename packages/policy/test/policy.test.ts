import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig, object } from '@sluice/base';
import { encodeTransport, verifyTransport } from '@sluice/bundle';
import { type Digest, OperationalError } from '@sluice/ports';
import { loadSigner, loadVerifier, makeKeyPair, signEnvelope } from '@sluice/trust';
import { channelsConfig, openChannels, openStore, readVerifier, redisConfig, storeConfig } from '../src/index.ts';

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-policy-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const pairs = {
  transport: makeKeyPair('Ed25519'),
  lab: makeKeyPair('ECDSA-P256'),
  a: makeKeyPair('ECDSA-P256'),
  b: makeKeyPair('ECDSA-P384'),
};
type Name = keyof typeof pairs;

/** A directory with the public keys, and a channel's section that is good. */
function place() {
  const dir = scratch();
  for (const [name, { publicPem }] of Object.entries(pairs)) writeFileSync(join(dir, `${name}.pem`), publicPem);
  const keyFiles = (...names: Name[]): string[] => names.map((name) => join(dir, `${name}.pem`));
  const section = {
    name: 'prod',
    transportKeyFiles: keyFiles('transport'),
    releaseKeyFiles: keyFiles('a', 'b'),
    releaseSignatures: 2,
    types: ['image', 'file'],
    repositories: ['library/**'],
    paths: ['**'],
    maxBytes: '1GiB',
    maxArtifacts: 100,
  };
  const load = (...sections: object[]) => {
    const file = join(dir, 'config.json');
    writeFileSync(file, JSON.stringify({ channels: sections }));
    return loadConfig(file, object('test', { channels: channelsConfig('channels') })).channels;
  };
  return { dir, keyFiles, section, load };
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof OperationalError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'ok';
}

describe('the policy of a channel', () => {
  it('comes out of the configuration as it stands there', () => {
    const { section, load } = place();
    const context = openChannels(load(section)).get('prod');
    const idOf = (name: Name): string => loadVerifier(pairs[name].publicPem).keyid;
    expect(context?.policy).toEqual({
      channel: 'prod',
      transportKeys: [idOf('transport')],
      releaseKeys: [idOf('a'), idOf('b')],
      releaseSignatures: 2,
      types: ['image', 'file'],
      repositories: ['library/**'],
      paths: ['**'],
      maxBytes: 2 ** 30,
      maxArtifacts: 100,
      versioned: [],
    });
    expect([...(context?.verifiers.keys() ?? [])].sort()).toEqual([idOf('transport'), idOf('a'), idOf('b')].sort());
  });

  it('has no default for anything: what is left out is named', () => {
    const { section, load } = place();
    for (const key of Object.keys(section)) {
      const rest = Object.fromEntries(Object.entries(section).filter(([name]) => name !== key));
      expect(
        codeOf(() => load(rest)),
        key,
      ).toMatch(new RegExp(`^config-invalid: .*${key}`));
    }
    expect(codeOf(() => load({ ...section, releaseSignature: 0 }))).toMatch(/^config-invalid: .*releaseSignature/);
  });

  it('can be met, or the process does not start', () => {
    const { section, load, keyFiles } = place();
    const open = (over: object): string => codeOf(() => openChannels(load({ ...section, ...over })));
    expect(open({})).toBe('ok');
    expect(open({ releaseSignatures: 3 })).toMatch(/^config-invalid: .*channel prod wants 3 release signatures/);
    expect(open({ releaseKeyFiles: keyFiles('a', 'a') })).toMatch(/^config-invalid: .*names fewer keys/);
    expect(open({ releaseKeyFiles: keyFiles('a', 'transport') })).toMatch(
      /^config-invalid: .*cannot be a release key too/,
    );
    expect(open({ releaseKeyFiles: [], releaseSignatures: 1 })).toMatch(/^config-invalid: .*/);
    expect(open({ transportKeyFiles: [] })).toMatch(/^config-invalid: /);
    // A lab says so: 0 is a number that somebody wrote.
    expect(open({ releaseKeyFiles: [], releaseSignatures: 0 })).toBe('ok');
    expect(codeOf(() => openChannels(load(section, section)))).toMatch(
      /^config-invalid: .*channel prod is there twice/,
    );
  });

  it('a key is believed in the channels that name it and nowhere else', () => {
    const { section, load, keyFiles } = place();
    const lab = {
      ...section,
      name: 'lab',
      transportKeyFiles: keyFiles('lab'),
      releaseKeyFiles: [],
      releaseSignatures: 0,
    };
    const channels = openChannels(load(section, lab));
    const digest: Digest = `sha256:${'a'.repeat(64)}`;
    const statement = (channel: string, name: Name): Uint8Array =>
      signEnvelope(
        encodeTransport({
          channel,
          sequence: 1,
          previous: null,
          release: { digest, size: 1 },
          objects: [],
          blobs: 1,
          bytes: 1,
          seconds: 1,
        }),
        [loadSigner(pairs[name].privatePem)],
      );
    const verdict = (by: string, channel: string, name: Name): string => {
      const result = verifyTransport(statement(channel, name), channels.get(by)!);
      return result.ok ? 'ok' : result.error.code;
    };
    expect(verdict('prod', 'prod', 'transport')).toBe('ok');
    expect(verdict('lab', 'lab', 'lab')).toBe('ok');
    expect(verdict('lab', 'lab', 'transport')).toBe('signer-unknown');
    expect(verdict('prod', 'prod', 'lab')).toBe('signer-unknown');
    expect(verdict('lab', 'prod', 'lab')).toBe('channel-mismatch');
  });
});

describe('public key files', () => {
  it('of other makers are taken; what is none is told by its name', () => {
    const { dir, keyFiles } = place();
    const key = join(dir, 'openssl.key');
    execFileSync('openssl', ['genpkey', '-algorithm', 'ED25519', '-out', key], { stdio: 'pipe' });
    execFileSync('openssl', ['pkey', '-in', key, '-pubout', '-out', join(dir, 'openssl.pem')], { stdio: 'pipe' });
    expect(readVerifier(join(dir, 'openssl.pem')).algorithm).toBe('Ed25519');
    expect(keyFiles('transport', 'a', 'b').map((file) => readVerifier(file).algorithm)).toEqual([
      'Ed25519',
      'ECDSA-P256',
      'ECDSA-P384',
    ]);
    writeFileSync(join(dir, 'empty'), '');
    for (const file of [join(dir, 'none'), join(dir, 'empty'), key, dir]) {
      expect(codeOf(() => readVerifier(file))).toMatch(
        new RegExp(`^key-file: the public key file ${file} cannot be used`),
      );
    }
  });
});

describe('the store that the configuration names', () => {
  it('is one for both daemons, whose leftovers are kept apart', async () => {
    const dir = scratch();
    const file = join(dir, 'config.json');
    writeFileSync(file, JSON.stringify({ store: { type: 'fs', directory: 'store' } }));
    const { store } = loadConfig(file, object('test', { store: storeConfig }));
    const [receiver, importer] = [await openStore(store, '/state/receiver'), await openStore(store, '/state/importer')];
    const bytes = Buffer.from('blob');
    const digest: Digest = 'sha256:fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8';
    await receiver.put(digest, bytes.length, bytes);
    expect(Buffer.from(await importer.readVerified(digest, 100)).toString()).toBe('blob');
  });

  it('addresses are what they say', () => {
    const dir = scratch();
    const load = (value: object): string =>
      codeOf(() => {
        const file = join(dir, 'config.json');
        writeFileSync(file, JSON.stringify(value));
        loadConfig(file, object('test', { redis: redisConfig }));
      });
    expect(load({ redis: { url: 'redis://127.0.0.1:6379' } })).toBe('ok');
    expect(load({ redis: { url: 'rediss://queue.example:6380/2' } })).toBe('ok');
    expect(load({ redis: { url: 'http://127.0.0.1' } })).toMatch(/^config-invalid: /);
    expect(load({ redis: { url: 'redis://127.0.0.1', password: 'x' } })).toMatch(/^config-invalid: /);
    expect(load({ redis: { url: 'redis://127.0.0.1', passwordFile: join(dir, 'none') } })).toMatch(/^secret-file: /);
  });
});
