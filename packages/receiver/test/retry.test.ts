import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createJsonLogger } from '@sluice/base';
import { encodeTransport, type VerifyContext } from '@sluice/bundle';
import { ReceiverLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import { loadSigner, loadVerifier, makeKeyPair, sha256, sha256Digest, signEnvelope } from '@sluice/trust';
import { ReceiverPipeline } from '../src/pipeline.ts';
import { Quarantine } from '../src/quarantine.ts';

const pair = makeKeyPair('Ed25519');
const signer = loadSigner(pair.privatePem);
const release: Digest = `sha256:${'ab'.repeat(32)}`;

let dir = '';
let ledger: ReceiverLedger;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-receiver-'));
  ledger = new ReceiverLedger(join(dir, 'ledger.sqlite'));
});
afterEach(() => {
  ledger.close();
  rmSync(dir, { recursive: true });
});

const statement = (): Uint8Array =>
  signEnvelope(
    encodeTransport({
      channel: 'prod',
      sequence: 1,
      previous: null,
      release: { digest: release, size: 1000 },
      objects: [{ digest: release, size: 9, contentType: 'application/octet-stream' }],
      blobs: 1,
      bytes: 9,
      seconds: 1,
    }),
    [signer],
  );

async function pipeline(): Promise<ReceiverPipeline> {
  const policy = {
    channel: 'prod',
    transportKeys: [signer.keyid],
    releaseKeys: [],
    releaseSignatures: 0,
    types: ['file'] as const,
    repositories: [],
    paths: ['**'],
    maxBytes: 1e9,
    maxArtifacts: 10,
  };
  const context: VerifyContext = {
    policy,
    verifiers: new Map([[signer.keyid, loadVerifier(pair.publicPem)]]),
    sha256,
  };
  mkdirSync(join(dir, 'quarantine'));
  return new ReceiverPipeline({
    store: await openFsStore(join(dir, 'store')),
    ledger,
    logger: createJsonLogger('test', { write: () => undefined }),
    channels: new Map([['prod', context]]),
    gates: [],
    quarantine: new Quarantine(join(dir, 'quarantine'), 10),
    statementBytes: 1e6,
    toLink: () => undefined,
    onPublished: () => undefined,
  });
}

it('a statement that could not be judged, since the disk failed, is judged once the disk is back', async () => {
  const envelope = statement();
  const digest = sha256Digest(envelope);
  const path = join(dir, 'statement');
  const receiver = await pipeline();
  const contentType = 'application/vnd.dsse.envelope.v1+json';
  await receiver.object({ channel: 'prod', key: 'k', digest, size: envelope.length, contentType, path });
  expect(ledger.bundle(digest)).toBeUndefined();
  // Link will not name the object again: it lies whole in its spool.
  writeFileSync(path, envelope);
  await vi.waitFor(() => expect(ledger.bundle(digest)?.state).toBe('receiving'), { timeout: 15_000, interval: 100 });
});
