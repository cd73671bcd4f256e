import { createHash } from 'node:crypto';
import { PACK_BYTES_LIMIT, readPack, type TransportObject } from '@sluice/bundle';
import { type BlobStore, type Digest, ok, refuse, type Result } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';
import { openSpooled, readSpooled } from './spooled.ts';

/** Where a content blob of a bundle lies: a file of its own in the spool, inside a pack there, or in the store already. */
export type BlobPlace =
  | { readonly type: 'file'; readonly object: SpooledObject; readonly size: number }
  | { readonly type: 'pack'; readonly object: SpooledObject; readonly size: number }
  | { readonly type: 'stored'; readonly size: number };

const CHUNK_BYTES = 1024 * 1024;
const PACK_TYPE: TransportObject['contentType'] = 'application/x-tar';

const hashOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** True when the file holds what the object's digest says. */
export async function holds(object: SpooledObject): Promise<boolean> {
  const hash = createHash('sha256');
  const file = await openSpooled(object.path);
  try {
    if ((await file.stat()).size !== object.size) return false;
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let done = 0; done < object.size;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK_BYTES, object.size - done), done);
      if (bytesRead === 0) return false;
      hash.update(buffer.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
  return `sha256:${hash.digest('hex')}` === object.digest;
}

/** What became of opening a bundle's contents: all there and hashed, a refusal, or objects that must come again. */
export type Opened =
  | { readonly type: 'contents'; readonly contents: Contents }
  | { readonly type: 'again'; readonly bad: readonly SpooledObject[] };

/** The content blobs of a bundle: every object hashed, packs opened, each blob at its place. */
export class Contents {
  readonly places: ReadonlyMap<Digest, BlobPlace>;
  readonly #store: BlobStore;

  private constructor(places: ReadonlyMap<Digest, BlobPlace>, store: BlobStore) {
    this.places = places;
    this.#store = store;
  }

  /** Hashes every spooled object once. Refuses a pack that is none, or whose members are not what their names say. */
  static async open(
    objects: readonly TransportObject[],
    spooled: (digest: Digest) => SpooledObject | undefined,
    store: BlobStore,
  ): Promise<Result<Opened>> {
    const places = new Map<Digest, BlobPlace>();
    const bad: SpooledObject[] = [];
    for (const { digest, size, contentType } of objects) {
      const stored = contentType === PACK_TYPE ? undefined : await store.stat(digest);
      const object = spooled(digest);
      if (stored !== undefined) places.set(digest, { type: 'stored', size: stored });
      else if (object === undefined) return ok({ type: 'again', bad: [] });
      // Size and type come from whoever has a link key; only bytes that the digest holds for are held against the statement.
      else if (!(await holds(object))) bad.push(object);
      else if (object.size !== size) {
        return refuse(
          'size-mismatch',
          `object ${digest} has ${String(object.size)} bytes, the transport statement says ${String(size)}`,
        );
      } else if (contentType !== PACK_TYPE) places.set(digest, { type: 'file', object, size });
      else {
        const members = await packMembers(object);
        if (!members.ok) return members;
        for (const member of members.value)
          places.set(member.digest, { type: 'pack', object, size: member.bytes.length });
      }
    }
    if (bad.length > 0) return ok({ type: 'again', bad });
    return ok({ type: 'contents', contents: new Contents(places, store) });
  }

  /** The bytes of one blob of at most `limit` bytes; undefined when the bundle does not bring it, or it is larger. */
  async read(digest: Digest, limit: number): Promise<Uint8Array | undefined> {
    const place = this.places.get(digest);
    if (place === undefined || place.size > limit) return undefined;
    if (place.type === 'stored') return this.#store.readVerified(digest, limit);
    if (place.type === 'file') return readSpooled(place.object.path);
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
  const members = readPack(await readSpooled(object.path));
  if (!members.ok) return members;
  for (const { digest, bytes } of members.value) {
    if (hashOf(bytes) !== digest) {
      return refuse('digest-mismatch', `member ${digest} of pack ${object.digest} is not what its name says`);
    }
  }
  return members;
}
