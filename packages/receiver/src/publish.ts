import type { BlobStore } from '@sluice/ports';
import type { VerifiedBundle } from './verify.ts';

/**
 * Stop 14, first half: the bundle's blobs into the store, its statements last. Durable on return; doing it again after a
 * crash is harmless. The ledger's transaction, which makes it count, is the caller's.
 */
export async function storeBundle(bundle: VerifiedBundle, store: BlobStore): Promise<void> {
  const { places } = bundle.contents;
  const packs = new Set(places.values().flatMap((place) => (place.type === 'pack' ? [place.object] : [])));
  await store.putPacks([...packs].map(({ digest, size, path }) => ({ digest, size, path })));
  for (const [digest, place] of places) {
    if (place.type === 'file') await store.adopt(digest, place.size, place.object.path);
  }
  const { release, transport } = bundle;
  await store.put(release.digest, release.envelope.length, release.envelope);
  await store.put(transport.id, transport.envelope.length, transport.envelope);
}
