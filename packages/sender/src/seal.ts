import { encodeTransport } from '@sluice/bundle';
import type { BlobStore, Digest } from '@sluice/ports';
import type { SenderLedger, SealedBundle } from '@sluice/ledger';
import { sha256Digest, signEnvelope, type Signer } from '@sluice/trust';
import type { CollectedInput } from './intake/messages.ts';

export interface SealInput {
  readonly channel: string;
  /** Names the input: sealing it again after a crash gives the same bundle. */
  readonly source: string;
  readonly collected: CollectedInput;
}

export interface SealParts {
  readonly store: BlobStore;
  readonly ledger: SenderLedger;
  readonly signer: Signer;
  /** Unix seconds. */
  readonly now: () => number;
}

/**
 * Stop 2: makes the transport statement and takes the next sequence number of the channel. The ledger's transaction holds
 * number, statement and objects together; what the statement names is durable before it.
 */
export async function seal(input: SealInput, parts: SealParts): Promise<SealedBundle> {
  const { store, ledger, signer } = parts;
  const { channel, source, collected } = input;
  const { name, release, objects, blobs, bytes } = collected;
  const sealed = ledger.sealBundle({
    channel,
    source,
    name,
    release: release.digest,
    releaseSize: release.size,
    objects,
    bytes,
    make: (sequence: number, previous: Digest | null) => {
      const payload = encodeTransport({
        channel,
        sequence,
        previous,
        release,
        objects,
        blobs,
        bytes,
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
