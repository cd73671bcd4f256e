import type { BlobStore, Digest } from '@sluice/ports';
import type { Contents } from './contents.ts';
import { packMembers } from './contents.ts';
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

async function storePacks(contents: Contents, store: BlobStore): Promise<void> {
  const packs = new Set(
    [...contents.places.values()].filter((place) => place.type === 'pack').map((place) => place.object),
  );
  let batch: { readonly digest: Digest; readonly bytes: Uint8Array }[] = [];
  let bytes = 0;
  for (const pack of packs) {
    const members = await packMembers(pack);
    if (!members.ok) throw new Error(`pack ${pack.digest} held when it was verified, and does not now`);
    for (const member of members.value) {
      batch.push(member);
      bytes += member.bytes.length;
    }
    if (bytes < BATCH_BYTES) continue;
    await store.putMany(batch);
    [batch, bytes] = [[], 0];
  }
  if (batch.length > 0) await store.putMany(batch);
}
