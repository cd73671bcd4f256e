import {
  closureOf,
  ENVELOPE_BYTES,
  OCI_MANIFEST_BYTES,
  parseEnvelope,
  parseReceipt,
  parseRelease,
} from '@sluice/bundle';
import type { BundleRecord } from '@sluice/ledger';
import { type BlobStore, type Digest, ok, OperationalError, refuse } from '@sluice/ports';
import { sha256Digest } from '@sluice/trust';

/** How blobs are found: content by manifests, both by statements. What others are found by goes last. */
export const [CONTENT, MANIFEST, STATEMENT] = [0, 1, 2] as const;
export type Rank = typeof CONTENT | typeof MANIFEST | typeof STATEMENT;

/** What a bundle has in the store. */
export interface BundleBlobs {
  readonly blobs: ReadonlyMap<Digest, Rank>;
  /** False when a manifest could not be read: what it names is not among them. */
  readonly whole: boolean;
}

/** Bytes of a blob; undefined when it is not there, or is not what it should be. */
export async function readOrUndefined(
  store: Pick<BlobStore, 'readVerified'>,
  digest: Digest,
  limit: number,
): Promise<Uint8Array | undefined> {
  try {
    return await store.readVerified(digest, limit);
  } catch (error) {
    if (error instanceof OperationalError && !error.retryable) return undefined;
    throw error;
  }
}

/**
 * All blobs of a bundle that was published, by its release as it lies in the store; undefined when that cannot be read. Signatures are not looked at: they
 * held when it came, and a key may have been withdrawn since.
 */
export async function blobsOf(
  { id, release }: Pick<BundleRecord, 'id' | 'release'>,
  receipt: Uint8Array | undefined,
  store: Pick<BlobStore, 'readVerified'>,
): Promise<BundleBlobs | undefined> {
  const envelope = await readOrUndefined(store, release, ENVELOPE_BYTES);
  const opened = envelope === undefined ? undefined : parseEnvelope(envelope);
  const statement = opened?.ok ? parseRelease(opened.value.payload) : undefined;
  if (!statement?.ok) return undefined;
  const blobs = new Map<Digest, Rank>();
  let whole = true;
  for (const { digest, size, mediaType } of statement.value.artifacts) {
    if (mediaType === undefined) {
      blobs.set(digest, CONTENT);
      continue;
    }
    const closed = await closureOf({ digest, size, mediaType }, async (manifest) => {
      const bytes = await readOrUndefined(store, manifest, OCI_MANIFEST_BYTES);
      return bytes === undefined ? refuse('blob-missing', manifest) : ok(bytes);
    });
    if (closed.ok)
      for (const entry of closed.value.entries) blobs.set(entry.digest, entry.kind === 'blob' ? CONTENT : MANIFEST);
    else whole = false;
    blobs.set(digest, MANIFEST);
  }
  for (const digest of [...receiptsIn(receipt), release, id]) blobs.set(digest, STATEMENT);
  return { blobs, whole };
}

/** The receipt lies in the store too; one that was too long for the queue names another. */
function receiptsIn(envelope: Uint8Array | undefined): readonly Digest[] {
  if (envelope === undefined) return [];
  const opened = parseEnvelope(envelope);
  const receipt = opened.ok ? parseReceipt(opened.value.payload) : undefined;
  const full = receipt?.ok ? receipt.value.full : undefined;
  return [...(full === undefined ? [] : [full.digest]), sha256Digest(envelope)];
}
