// Several channels of one side: what a policy says of one must not let somebody into another.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, object, optional } from '@sluice/base';
import { encodePolicy } from '@sluice/bundle';
import { loadSigner, loadVerifier, makeKeyPair, signEnvelope } from '@sluice/trust';
import { expect, it, onTestFinished } from 'vitest';
import { ReceiverLedger } from '../../ledger/src/index.ts';
import { Anchors, channelsConfig, trustConfig } from '../src/index.ts';

const NAMES = ['sender', 'other', 'ada', 'bob', 'root', 'eva', 'finn'] as const;
type Name = (typeof NAMES)[number];
const pairs = Object.fromEntries(NAMES.map((name) => [name, makeKeyPair('Ed25519')])) as Record<
  Name,
  ReturnType<typeof makeKeyPair>
>;
const idOf = (name: Name): string => loadVerifier(pairs[name].publicPem).keyid;
const ASKER = { uid: 1001, reason: 'rotation' };

/** Who sends and who approves, by channel. */
type Grants = Readonly<Record<string, { readonly transport: Name; readonly release: Name }>>;

function policy(version: number, grants: Grants): Uint8Array {
  const used = new Set(Object.values(grants).flatMap(({ transport, release }) => [transport, release]));
  const keys = [...used].map((name) => ({
    ...{ name, keyid: idOf(name) },
    spki: Buffer.from(pairs[name].publicPem.replaceAll(/-----[^-]*-----|\n/g, ''), 'base64'),
  }));
  const grant = (key: string) => ({ key, from: 1, until: undefined });
  const channels = Object.entries(grants).map(([name, { transport, release }]) => ({
    ...{ name, transport: [grant(transport)] },
    release: [{ role: 'release', signatures: 1, keys: [grant(release)] }],
  }));
  const signers = (['root', 'eva', 'finn'] as const).map((name) => loadSigner(pairs[name].privatePem));
  return signEnvelope(encodePolicy({ version, keys, channels }), signers);
}

/** The anchors of a side with these channels. */
function anchorsOf(grants: Grants): Anchors {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-channels-'));
  for (const name of NAMES) writeFileSync(join(dir, `${name}.pem`), pairs[name].publicPem);
  const key = (name: Name): string => join(dir, `${name}.pem`);
  const channels = Object.entries(grants).map(([name, { transport, release }]) => ({
    ...{ name, transportKeyFiles: [key(transport)], releaseKeyFiles: [key(release)], releaseSignatures: 1 },
    ...{ types: ['file'], repositories: [], paths: ['**'], maxBytes: '1GiB', maxArtifacts: 10 },
  }));
  const trust = { rootKeyFiles: [key('root')], personKeyFiles: [key('eva'), key('finn')] };
  const file = join(dir, 'config.json');
  writeFileSync(file, JSON.stringify({ channels, trust }));
  const config = loadConfig(file, object('test', { channels: channelsConfig('x'), trust: optional(trustConfig) }));
  const ledger = new ReceiverLedger(join(dir, 'state/ledger.sqlite'));
  onTestFinished(() => {
    ledger.close();
    rmSync(dir, { recursive: true });
  });
  return new Anchors({ channels: config.channels, trust: config.trust, record: ledger.trust });
}

const BOTH: Grants = { prod: { transport: 'sender', release: 'ada' }, lab: { transport: 'other', release: 'ada' } };

it('a policy about one channel does not bring yesterday’s keys of another back', () => {
  const anchors = anchorsOf(BOTH);
  const adopt = (version: number, grants: Grants) => anchors.adopt(policy(version, grants), undefined, ASKER);
  // Ada left: prod believes bob, and no longer her.
  const prod = { prod: { transport: 'sender', release: 'bob' } } as const;
  expect(adopt(1, prod).ok).toBe(true);
  expect(anchors.get('prod')?.policy.releaseKeys).toEqual([idOf('bob')]);
  // Later on the keys of the other channel are changed.
  const lab = { lab: { transport: 'other', release: 'bob' } } as const;
  expect(adopt(2, lab)).toMatchObject({ ok: false, error: { code: 'policy-rollback' } });
  expect(anchors.get('prod')?.policy.releaseKeys).toEqual([idOf('bob')]);
  expect(adopt(2, { ...lab, ...prod }).ok).toBe(true);
  expect(anchors.get('lab')?.policy.releaseKeys).toEqual([idOf('bob')]);
});

it('a key that sends in one channel approves in none, by configuration or policy', () => {
  const mixed: Grants = {
    prod: { transport: 'sender', release: 'other' },
    lab: { transport: 'other', release: 'ada' },
  };
  expect(() => anchorsOf(mixed)).toThrow(/transport key of channel lab and cannot approve in channel prod/);
  const anchors = anchorsOf(BOTH);
  const refused = { ok: false, error: { code: 'statement-malformed' } };
  expect(anchors.adopt(policy(1, mixed), undefined, ASKER)).toMatchObject(refused);
  // Also where the document does not name the other channel, which has its keys of the configuration.
  expect(anchors.adopt(policy(1, { prod: { ...BOTH.prod!, release: 'other' } }), undefined, ASKER)).toMatchObject(
    refused,
  );
  expect(anchors.adopt(policy(1, BOTH), undefined, ASKER).ok).toBe(true);
});
