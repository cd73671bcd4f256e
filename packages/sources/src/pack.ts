import type { BlobStore, Digest } from '@sluice/ports';
import { PACK_MEMBER_LIMIT, PACK_TARGET_BYTES, packMemberBytes, writePack } from '@sluice/bundle';
import type { PackMember } from '@sluice/bundle';
import { digestOf } from './content.ts';

/** A piece of the link, as a transport statement lists it (PROTOCOL.md B-5). */
export interface LinkObject {
  readonly digest: Digest;
  readonly size: number;
  readonly contentType: 'application/x-tar' | 'application/octet-stream';
}

/** Bytes of a pack besides its members: the trailer. */
const TRAILER_BYTES = 1024;

/**
 * The link objects for these blobs of `store`: packs of the small ones, sorted by digest and at most 4 MiB each, written into `store`; then the large
 * ones as they are. The same blobs always give the same objects (PROTOCOL.md O-3).
 */
export async function makeObjects(
  blobs: readonly { readonly digest: Digest; readonly size: number }[],
  store: BlobStore,
): Promise<readonly LinkObject[]> {
  const sorted = blobs.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  const objects: LinkObject[] = [];
  for (const members of groups(sorted.filter(({ size }) => size < PACK_MEMBER_LIMIT))) {
    const loaded: PackMember[] = [];
    for (const { digest, size } of members) loaded.push({ digest, bytes: await store.readVerified(digest, size) });
    const bytes = writePack(loaded);
    const digest = digestOf(bytes);
    await store.put(digest, bytes.length, bytes);
    objects.push({ digest, size: bytes.length, contentType: 'application/x-tar' });
  }
  for (const { digest, size } of sorted) {
    if (size >= PACK_MEMBER_LIMIT) objects.push({ digest, size, contentType: 'application/octet-stream' });
  }
  return objects;
}

function groups<T extends { readonly size: number }>(blobs: readonly T[]): T[][] {
  const packs: T[][] = [];
  let bytes = Infinity;
  for (const blob of blobs) {
    if (bytes + packMemberBytes(blob.size) > PACK_TARGET_BYTES) {
      packs.push([]);
      bytes = TRAILER_BYTES;
    }
    packs.at(-1)?.push(blob);
    bytes += packMemberBytes(blob.size);
  }
  return packs;
}
