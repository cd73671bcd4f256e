import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { PACK_BYTES_LIMIT, readPack } from '@sluice/bundle';
import { type Digest, ok, refuse, type Result } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';

/** Where a content blob of a bundle lies: a file of its own in the spool, or in memory out of a pack on demand. */
export type BlobPlace =
  | { readonly type: 'file'; readonly object: SpooledObject; readonly size: number }
  | { readonly type: 'pack'; readonly object: SpooledObject; readonly size: number };

const CHUNK_BYTES = 1024 * 1024;

/** SHA-256 of a file's first `size` bytes, and whether it has exactly that many. */
async function hashFile(path: string, size: number): Promise<Digest | undefined> {
  const hash = createHash('sha256');
  const file: FileHandle = await open(path, 'r');
  try {
    if ((await file.stat()).size !== size) return undefined;
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let done = 0; done < size;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK_BYTES, size - done), done);
      if (bytesRead === 0) return undefined;
      hash.update(buffer.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
  return `sha256:${hash.digest('hex')}`;
}

/** True when the file holds what the object's digest says. */
export const holds = async (object: SpooledObject): Promise<boolean> =>
  (await hashFile(object.path, object.size)) === object.digest;

/** The content blobs of a bundle: every object hashed, packs opened, each blob at its place. */
export class Contents {
  readonly places: ReadonlyMap<Digest, BlobPlace>;

  private constructor(places: ReadonlyMap<Digest, BlobPlace>) {
    this.places = places;
  }

  /**
   * Hashes every object. An object that is not what its digest says is given to `onBad` (a later pass brings it again)
   * and ends the look with `digest-mismatch`.
   */
  static async open(
    objects: readonly SpooledObject[],
    onBad: (object: SpooledObject) => void,
  ): Promise<Result<Contents>> {
    const places = new Map<Digest, BlobPlace>();
    for (const object of objects) {
      if (!(await holds(object))) {
        onBad(object);
        return refuse('digest-mismatch', `object ${object.digest} in the spool is not what its digest says`);
      }
      if (object.contentType !== 'application/x-tar') {
        places.set(object.digest, { type: 'file', object, size: object.size });
        continue;
      }
      const members = await packMembers(object);
      if (!members.ok) return members;
      for (const { digest, bytes } of members.value) places.set(digest, { type: 'pack', object, size: bytes.length });
    }
    return ok(new Contents(places));
  }

  /** The bytes of one small blob, at most `limit`; undefined when the bundle does not bring it. */
  async read(digest: Digest, limit: number): Promise<Uint8Array | undefined> {
    const place = this.places.get(digest);
    if (place === undefined || place.size > limit) return undefined;
    if (place.type === 'file') return readFile(place.object.path);
    const members = await packMembers(place.object);
    return members.ok ? members.value.find((member) => member.digest === digest)?.bytes : undefined;
  }
}

/** The members of a pack, each hashed against its name. */
export async function packMembers(
  object: SpooledObject,
): Promise<Result<readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]>> {
  if (object.size > PACK_BYTES_LIMIT)
    return refuse('tar-malformed', `pack ${object.digest} is larger than a pack may be`);
  const members = readPack(await readFile(object.path));
  if (!members.ok) return members;
  for (const { digest, bytes } of members.value) {
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) {
      return refuse('digest-mismatch', `member ${digest} of pack ${object.digest} is not what its name says`);
    }
  }
  return members;
}
