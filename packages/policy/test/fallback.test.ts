import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, object, optional } from '@sluice/base';
import { encodePolicy } from '@sluice/bundle';
import { loadSigner, loadVerifier, makeKeyPair, signEnvelope } from '@sluice/trust';
import { expect, it, onTestFinished } from 'vitest';
import { ReceiverLedger } from '../../ledger/src/index.ts';
import { Anchors, channelsConfig, trustConfig } from '../src/index.ts';

const NAMES = ['sender', 'ada', 'bob', 'root', 'eva', 'finn'] as const;
type Name = (typeof NAMES)[number];
const pairs = Object.fromEntries(NAMES.map((name) => [name, makeKeyPair('Ed25519')])) as Record<
  Name,
  ReturnType<typeof makeKeyPair>
>;
const idOf = (name: Name): string => loadVerifier(pairs[name].publicPem).keyid;
const ASKER = { uid: 1001, reason: 'rotation' };

function policy(version: number, channels: readonly string[]): Uint8Array {
  const keys = (['sender', 'bob'] as const).map((name) => ({
    ...{ name, keyid: idOf(name) },
    spki: Buffer.from(pairs[name].publicPem.replaceAll(/-----[^-]*-----|\n/g, ''), 'base64'),
  }));
  const grant = (key: string) => ({ key, from: 1, until: undefined });
  const all = channels.map((name) => ({
    ...{ name, transport: [grant('sender')] },
    release: [{ role: 'release', signatures: 1, keys: [grant('bob')] }],
  }));
  const signers = (['root', 'eva', 'finn'] as const).map((name) => loadSigner(pairs[name].privatePem));
  return signEnvelope(encodePolicy({ version, keys, channels: all }), signers);
}

it('a policy about one channel does not bring yesterday’s keys of another back', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-fallback-'));
  for (const name of NAMES) writeFileSync(join(dir, `${name}.pem`), pairs[name].publicPem);
  const key = (name: Name): string => join(dir, `${name}.pem`);
  const section = (name: string) => ({
    ...{ name, transportKeyFiles: [key('sender')], releaseKeyFiles: [key('ada')], releaseSignatures: 1 },
    ...{ types: ['file'], repositories: [], paths: ['**'], maxBytes: '1GiB', maxArtifacts: 10 },
  });
  const trust = { rootKeyFiles: [key('root')], personKeyFiles: [key('eva'), key('finn')] };
  const file = join(dir, 'config.json');
  writeFileSync(file, JSON.stringify({ channels: [section('prod'), section('lab')], trust }));
  const config = loadConfig(file, object('test', { channels: channelsConfig('x'), trust: optional(trustConfig) }));
  const ledger = new ReceiverLedger(join(dir, 'state/ledger.sqlite'));
  onTestFinished(() => {
    ledger.close();
    rmSync(dir, { recursive: true });
  });
  const anchors = new Anchors({ channels: config.channels, trust: config.trust, record: ledger.trust });
  // Ada left: prod believes bob, and no longer her.
  expect(anchors.adopt(policy(1, ['prod']), undefined, ASKER).ok).toBe(true);
  expect(anchors.get('prod')?.policy.releaseKeys).toEqual([idOf('bob')]);
  // Later on the keys of the other channel are changed.
  const second = anchors.adopt(policy(2, ['lab']), undefined, ASKER);
  expect(anchors.get('prod')?.policy.releaseKeys).toEqual([idOf('bob')]);
  expect(second).toMatchObject({ ok: false, error: { code: 'policy-rollback' } });
  expect(anchors.adopt(policy(2, ['lab', 'prod']), undefined, ASKER).ok).toBe(true);
  expect(anchors.get('lab')?.policy.releaseKeys).toEqual([idOf('bob')]);
});
