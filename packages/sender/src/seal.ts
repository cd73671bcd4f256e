import { encodeTransport, type ReleaseStatement } from '@sluice/bundle';
import type { BlobStore, Digest } from '@sluice/ports';
import type { SenderLedger, SealedBundle } from '@sluice/ledger';
import { type Collected, makeObjects } from '@sluice/sources';
import { sha256Digest, signEnvelope, type Signer } from '@sluice/trust';

export interface SealInput {
  readonly channel: string;
  /** Names the input: sealing it again after a crash gives the same bundle. */
  readonly source: string;
  readonly releaseEnvelope: Uint8Array;
  readonly release: ReleaseStatement;
  readonly collected: Collected;
}

export interface SealParts {
  readonly store: BlobStore;
  readonly ledger: SenderLedger;
  readonly signer: Signer;
  /** Unix seconds. */
  readonly now: () => number;
}

/**
 * Stop 2: makes the link objects and the transport statement, and takes the next sequence number of the channel. The
 * ledger's transaction holds number, statement and objects together; what the statement names is durable before it.
 */
export async function seal(input: SealInput, parts: SealParts): Promise<SealedBundle> {
  const { store, ledger, signer } = parts;
  const objects = await makeObjects(input.collected.blobs, store);
  const release = { digest: sha256Digest(input.releaseEnvelope), size: input.releaseEnvelope.length };
  await store.put(release.digest, release.size, input.releaseEnvelope);
  const sealed = ledger.sealBundle({
    channel: input.channel,
    source: input.source,
    name: input.release.name,
    release: release.digest,
    releaseSize: release.size,
    objects,
    bytes: input.collected.bytes,
    make: (sequence: number, previous: Digest | null) => {
      const payload = encodeTransport({
        channel: input.channel,
        sequence,
        previous,
        release,
        objects,
        blobs: input.collected.blobs.length,
        bytes: input.collected.bytes,
        seconds: parts.now(),
      });
      const envelope = signEnvelope(payload, [signer]);
      return { id: sha256Digest(envelope), envelope };
    },
  });
  // The ledger holds the envelope too; a crash before this line is made good when the sender starts.
  await store.put(sealed.id, sealed.envelope.length, sealed.envelope);
  return sealed;
}
