import { encodeTransport, parseReceipt, type Receipt, type VerifiedTransport, verifyTransport } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import { RECEIPT_LIMIT } from '@sluice/queue';
import { makeKeyPair, loadSigner, loadVerifier, openEnvelope, sha256, signEnvelope } from '@sluice/trust';
import { describe, expect, it } from 'vitest';
import { issueReceipt } from '../src/receipts.ts';
import { OpenStore } from './world.ts';

const DIGEST: Digest = `sha256:${'ab'.repeat(32)}`;
const keys = { importer: makeKeyPair('Ed25519'), transport: makeKeyPair('Ed25519') };
const importer = loadSigner(keys.importer.privatePem);

function transportOf(): VerifiedTransport {
  const verifier = loadVerifier(keys.transport.publicPem);
  const statement = encodeTransport({
    channel: 'prod',
    sequence: 1,
    previous: null,
    release: { digest: DIGEST, size: 1 },
    objects: [],
    blobs: 1,
    bytes: 1,
    seconds: 1,
  });
  const policy = { channel: 'prod', transportKeys: [verifier.keyid], releaseKeys: [], releaseSignatures: 0 };
  const verified = verifyTransport(signEnvelope(statement, [loadSigner(keys.transport.privatePem)]), {
    policy: policy as never,
    verifiers: new Map([[verifier.keyid, verifier]]),
    sha256,
  });
  if (!verified.ok) throw new Error(verified.error.detail);
  return verified.value;
}

function opened(envelope: Uint8Array): Receipt {
  const read = openEnvelope(envelope, [loadVerifier(keys.importer.publicPem)]);
  if (!read.ok || read.value.signer === undefined) throw new Error('not signed by the importer');
  const receipt = parseReceipt(read.value.payload);
  if (!receipt.ok) throw new Error(receipt.error.detail);
  return receipt.value;
}

async function issued(artifacts: number) {
  const store = new OpenStore();
  const seen = Array.from({ length: artifacts }, (_, i) => ({
    name: `etc/file-${String(i)}`,
    digest: DIGEST,
    sites: [{ site: 'home', digest: DIGEST }],
  }));
  const outcome = { result: 'imported', code: 'ok', artifacts: seen } as const;
  const transport = transportOf();
  const text = await issueReceipt(store, importer, transport, outcome, 1_700_000_000);
  return { store, seen, text, bundle: transport.id };
}

describe('a receipt', () => {
  it('goes back as it is, and is kept in the store', async () => {
    const { store, seen, text, bundle } = await issued(3);
    expect(opened(Buffer.from(text))).toEqual({
      bundle,
      channel: 'prod',
      sequence: 1,
      result: 'imported',
      code: 'ok',
      artifacts: seen,
      seconds: 1_700_000_000,
    });
    expect([...store.blobs.values()].map((bytes) => Buffer.from(bytes).toString())).toEqual([text]);
  });

  it('of 100,000 files fits into the queue: it names the one in the store that lists them, signed as well', async () => {
    const { store, seen, text, bundle } = await issued(100_000);
    expect(text.length).toBeLessThan(RECEIPT_LIMIT);
    const short = opened(Buffer.from(text));
    expect(short).toMatchObject({
      bundle,
      result: 'imported',
      code: 'ok',
      artifacts: [],
      full: { artifacts: 100_000 },
    });
    const { digest = DIGEST, size = 0 } = short.full ?? {};
    const full = await store.readVerified(digest, size);
    expect(opened(full)).toEqual({ ...short, artifacts: seen, full: undefined });
    // Both are kept.
    expect([...store.blobs.values()].some((bytes) => Buffer.from(bytes).toString() === text)).toBe(true);
  });
});
