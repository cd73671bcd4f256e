import type { BlobStore, Digest } from '@sluice/ports';
import { type BlobPlace, type Contents, spoolChanged } from './contents.ts';
import { readSpooled } from './spooled.ts';
import type { VerifiedBundle } from './verify.ts';

/** Bytes of small blobs that are handed to the store in one batch. */
const BATCH_BYTES = 32 * 2 ** 20;

/**
 * Stop 14, first half: the bundle's blobs into the store, its statements last. Durable on return; doing it again after a
 * crash is harmless. The ledger's transaction, which makes it count, is the caller's.
 */
export async function storeBundle(bundle: VerifiedBundle, store: BlobStore): Promise<void> {
  await storePacks(bundle.contents, store);
  for (const [digest, place] of bundle.contents.places) {
    if (place.type === 'file') await store.adopt(digest, place.size, place.object.path);
  }
  const { release, transport } = bundle;
  await store.put(release.digest, release.envelope.length, release.envelope);
  await store.put(transport.id, transport.envelope.length, transport.envelope);
}

interface Small {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

type Packed = BlobPlace & { readonly type: 'pack' };

/** While one batch is stored, the packs of the next are read. The store hashes each blob once more: the spool is link's. */
async function storePacks(contents: Contents, store: BlobStore): Promise<void> {
  let storing: Promise<void> = Promise.resolve();
  for await (const batch of batches(contents)) {
    await storing;
    storing = store.putMany(batch);
    // Heard of with the next `await`, at the latest the one below.
    storing.catch(() => undefined);
  }
  await storing;
}

async function* batches({ places }: Contents): AsyncGenerator<readonly Small[]> {
  const packed = [...places].filter((entry): entry is [Digest, Packed] => entry[1].type === 'pack');
  let batch: Small[] = [];
  let bytes = 0;
  for (const [pack, members] of Map.groupBy(packed, ([, place]) => place.object)) {
    const whole = await readSpooled(pack.path);
    if (whole.length !== pack.size) throw spoolChanged(pack);
    for (const [digest, { offset, size }] of members)
      batch.push({ digest, bytes: whole.subarray(offset, offset + size) });
    bytes += whole.length;
    if (bytes < BATCH_BYTES) continue;
    yield batch;
    [batch, bytes] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}
