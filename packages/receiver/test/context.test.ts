import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePolicy } from '@sluice/bundle';
import { digestOfConfig } from '@sluice/base';
import { ReceiverLedger } from '@sluice/ledger';
import { Anchors, type ChannelPolicyConfig } from '@sluice/policy';
import type { ReceiverToLink } from '@sluice/ports';
import { loadVerifier, makeKeyPair, sha256Digest, signEnvelope } from '@sluice/trust';
import { expect, it, onTestFinished } from 'vitest';
import { followContext, type Under } from '../src/chunks/context.ts';
import type { ReceiverConfig } from '../src/config.ts';

const pems = Object.fromEntries(
  ['sender', 'ada', 'bob', 'tester'].map((name) => [name, makeKeyPair('Ed25519').publicPem]),
);
const pemOf = (name: string): string => pems[name] ?? '';
const idOf = (name: string): string => loadVerifier(pemOf(name)).keyid;
const ASKER = { uid: 0, reason: 'test' };

it('what a chunk log was received under is in the archive as it was then, also after keys have changed, and link is told', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-context-'));
  const ledger = new ReceiverLedger(join(dir, 'ledger.sqlite'));
  onTestFinished(() => {
    ledger.close();
    rmSync(dir, { recursive: true });
  });
  for (const name of Object.keys(pems)) writeFileSync(join(dir, name), pemOf(name));
  const channel = {
    ...{ name: 'prod', transportKeyFiles: [join(dir, 'sender')], releaseKeyFiles: [join(dir, 'ada')] },
    ...{ releaseSignatures: 1, types: ['file'], repositories: [], paths: ['**'], maxBytes: 1000, maxArtifacts: 10 },
  } as unknown as ChannelPolicyConfig;
  const config = { channels: [channel], importerKeyFiles: [] } as unknown as ReceiverConfig;
  const anchors = new Anchors({ channels: [channel], trust: undefined, record: ledger.trust });
  const told: ReceiverToLink[] = [];
  const under = followContext(config, { anchors, ledger, toLink: (message) => told.push(message) });
  const textOf = (digest: string): string => {
    const { text = '' } = ledger.archive.get(digest) ?? {};
    expect(`sha256:${createHash('sha256').update(text).digest('hex')}`).toBe(digest);
    return text;
  };
  const first = under();
  expect(first.config).toBe(digestOfConfig(config));
  expect(JSON.parse(textOf(first.trust))).toMatchObject({
    channels: [{ channel: 'prod', transport: [pemOf('sender')], release: [pemOf('ada')], roles: [] }],
    ...{ importers: [], policy: null, revoked: [] },
  });
  expect(JSON.parse(textOf(first.policy))).toMatchObject([{ channel: 'prod', releaseKeys: [idOf('ada')] }]);

  const bytes = signEnvelope(
    encodePolicy({
      version: 1,
      keys: Object.keys(pems).map((name) => ({
        ...{ name, keyid: idOf(name) },
        spki: Buffer.from(pemOf(name).replaceAll(/-----[^-]*-----|\n/g, ''), 'base64'),
      })),
      channels: [
        {
          name: 'prod',
          transport: [{ key: 'sender', from: 1 }],
          release: [
            { role: 'release', signatures: 1, keys: [{ key: 'bob', from: 1 }] },
            { role: 'test', signatures: 1, keys: [{ key: 'tester', from: 1 }] },
          ],
        },
      ],
    }),
    [],
  );
  expect(anchors.adopt(bytes, sha256Digest(bytes), ASKER)).toMatchObject({ ok: true });
  anchors.revoke(idOf('tester'), ASKER, {});
  expect(told).toHaveLength(2);
  const [adopted, revoked] = told as [Under, Under];
  expect(under()).toBe(revoked);
  expect(JSON.parse(textOf(adopted.trust))).toMatchObject({
    channels: [{ release: [pemOf('bob')], roles: [{ role: 'test', keys: [pemOf('tester')] }] }],
    ...{ policy: sha256Digest(bytes), revoked: [] },
  });
  expect(JSON.parse(textOf(revoked.trust))).toMatchObject({ revoked: [idOf('tester')] });
  // What logs of before name is still there.
  expect(textOf(first.trust)).toContain(JSON.stringify(pemOf('ada')).slice(1, -1));
  expect(new Set([first, adopted, revoked].map(({ trust }) => trust)).size).toBe(3);
});
