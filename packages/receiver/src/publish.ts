import type { BlobStore } from '@sluice/ports';
import type { CheckedStore } from './checked-store.ts';
import type { VerifiedBundle } from './verify.ts';

const PIECE_BYTES = 2 ** 20;

/** The store was given other bytes than a digest says, or has them. */
export const isOtherBytes = (error: unknown): boolean =>
  (error as { readonly code?: unknown }).code === 'store-digest-mismatch';

/**
 * Stop 14, first half: the bundle's blobs into the store, its statements last. Durable on return; doing it again after a
 * crash is harmless. `checked` is the store of a bundle that was published before. The ledger's transaction, which makes it count, is the caller's.
 */
export async function storeBundle(bundle: VerifiedBundle, store: BlobStore, checked?: CheckedStore): Promise<void> {
  try {
    await storeContents(bundle, store);
  } catch (error) {
    // Tried again with the same hashes it would fail for ever.
    if (isOtherBytes(error)) bundle.contents.doubt();
    throw error;
  }
  const { release, transport } = bundle;
  // What rotted in its place would stay there: the store asks for the size alone.
  for (const digest of [release.digest, transport.id]) await checked?.stat(digest);
  await store.put(release.digest, release.envelope.length, pieces(release.envelope));
  await store.put(transport.id, transport.envelope.length, pieces(transport.envelope));
}

async function storeContents({ contents: { places } }: VerifiedBundle, store: BlobStore): Promise<void> {
  const packs = new Set(places.values().flatMap((place) => (place.type === 'pack' ? [place.object] : [])));
  await store.putPacks([...packs].map(({ digest, size, path }) => ({ digest, size, path })));
  for (const [digest, place] of places) {
    if (place.type === 'file') await store.adopt(digest, place.size, place.object.path);
  }
}

/** In pieces: a large one is hashed between the turns of others. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
    await new Promise(setImmediate);
  }
}
