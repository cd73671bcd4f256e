import { createHash } from 'node:crypto';
import type { TransportObject } from '@sluice/bundle';
import { type BlobStore, type Digest, ok, refuse, type Result } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';
import type { SpoolChecks } from './spool/checks.ts';
import { readSpooled, readSpooledPart } from './spooled.ts';

/** Where a content blob of a bundle lies: a file of its own in the spool, inside a pack there, or in the store already. */
export type BlobPlace =
  | { readonly type: 'file'; readonly object: SpooledObject; readonly size: number }
  | { readonly type: 'pack'; readonly object: SpooledObject; readonly size: number; readonly offset: number }
  | { readonly type: 'stored'; readonly size: number };

export const PACK_TYPE: TransportObject['contentType'] = 'application/x-tar';

/** What became of opening a bundle's contents: all there and hashed, a refusal, or objects that must come again. */
export type Opened =
  | { readonly type: 'contents'; readonly contents: Contents }
  | { readonly type: 'again'; readonly bad: readonly SpooledObject[] };

export interface ContentsParts {
  readonly store: Pick<BlobStore, 'stat' | 'readVerified'>;
  readonly checks: SpoolChecks;
}

/** The content blobs of a bundle: every object hashed, packs opened, each blob at its place. */
export class Contents {
  readonly places: ReadonlyMap<Digest, BlobPlace>;
  readonly #parts: ContentsParts;

  private constructor(places: ReadonlyMap<Digest, BlobPlace>, parts: ContentsParts) {
    this.places = places;
    this.#parts = parts;
  }

  /** Has every spooled object hashed, if it is not yet. Refuses a pack that is none, or whose members are not what their names say. */
  static async open(
    objects: readonly TransportObject[],
    spooled: (digest: Digest) => SpooledObject | undefined,
    parts: ContentsParts,
  ): Promise<Result<Opened>> {
    const { store, checks } = parts;
    const places = new Map<Digest, BlobPlace>();
    const bad: SpooledObject[] = [];
    for (const { digest, size, contentType } of objects) {
      const stored = contentType === PACK_TYPE ? undefined : await store.stat(digest);
      const object = spooled(digest);
      if (stored !== undefined) {
        places.set(digest, { type: 'stored', size: stored });
        continue;
      }
      if (object === undefined) return ok({ type: 'again', bad: [] });
      const finished = await checks.finish(object, contentType === PACK_TYPE);
      // Size and type come from whoever has a link key; only bytes that the digest holds for are held against the statement.
      if (finished.type === 'damaged') bad.push(object);
      else if (object.size !== size) {
        return refuse(
          'size-mismatch',
          `object ${digest} has ${String(object.size)} bytes, the transport statement says ${String(size)}`,
        );
      } else if (finished.type === 'refused') return { ok: false, error: finished.refusal };
      else if (contentType !== PACK_TYPE) places.set(digest, { type: 'file', object, size });
      else {
        for (const member of finished.members) places.set(member.digest, { type: 'pack', object, ...member });
        // The main thread is everybody's.
        await new Promise(setImmediate);
      }
    }
    if (bad.length > 0) return ok({ type: 'again', bad });
    return ok({ type: 'contents', contents: new Contents(places, parts) });
  }

  /** The bytes of one blob of at most `limit` bytes; undefined when the bundle does not bring it, or it is larger. */
  async read(digest: Digest, limit: number): Promise<Uint8Array | undefined> {
    const place = this.places.get(digest);
    if (place === undefined || place.size > limit) return undefined;
    if (place.type === 'stored') return this.#parts.store.readVerified(digest, limit);
    const { path } = place.object;
    const bytes =
      place.type === 'file' ? await readSpooled(path) : await readSpooledPart(path, place.offset, place.size);
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` === digest) return bytes;
    this.doubt();
    throw spoolChanged(place.object);
  }

  /** What lies in the spool is not what it was when it was hashed, and its stamp did not tell: all of it is hashed anew. */
  doubt(): void {
    for (const place of this.places.values()) if (place.type !== 'stored') this.#parts.checks.drop(place.object);
  }
}

/** The spool is written to by link: what held a moment ago may not hold now. It is looked at anew. */
export const spoolChanged = ({ digest, path }: SpooledObject): Error =>
  Object.assign(new Error(`${path} held ${digest} when it was hashed, and does not now`), { code: 'ESTALE' });
