import { createHash } from 'node:crypto';
import { isDigest, ok, refuse } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { readAll } from './beneath.ts';
import type { Location } from './beneath.ts';
import { shown } from './scan.ts';
import type { Scan } from './scan.ts';

/** Plain files of one size. The first `hashed` of them are known by their digests. */
interface SameSize {
  readonly files: Location[];
  readonly byDigest: Map<Digest, Location>;
  hashed: number;
}

/** Finds bytes of a scanned bundle by digest. */
export class Content {
  readonly #scan: Scan;
  readonly #filesBySize = new Map<number, SameSize>();

  constructor(scan: Scan) {
    this.#scan = scan;
    for (const file of scan.files) {
      const same = this.#filesBySize.get(file.size);
      if (same === undefined) this.#filesBySize.set(file.size, { files: [file], byDigest: new Map(), hashed: 0 });
      else same.files.push(file);
    }
  }

  /**
   * Where the bytes of `digest` should lie: in a layout under that name, else in a plain file of that size. A plain file is hashed here only when
   * several have the size; a single one is a claim like a blob's name. Refuses with `blob-missing` or `size-mismatch`.
   */
  async locate(digest: Digest, size: number, of: string): Promise<Result<Location>> {
    for (const { blobs } of this.#scan.layouts) {
      const blob = blobs.get(digest);
      if (blob === undefined) continue;
      if (blob.size === size) return ok(blob);
      return refuse(
        'size-mismatch',
        `${shown(blob.path)} has ${blob.size} bytes where ${of} says ${size}; make the bundle again.`,
      );
    }
    const same = this.#filesBySize.get(size);
    if (same === undefined) return this.#missing(digest, of);
    const [only] = same.files;
    if (same.files.length === 1 && only !== undefined) return ok(only);
    const file = await this.#search(same, digest);
    return file === undefined ? this.#missing(digest, of) : ok(file);
  }

  /** The bytes of a manifest, hashed and compared. Refuses as `locate`, and with `digest-mismatch`. */
  async readVerified(digest: Digest, size: number, of: string): Promise<Result<Uint8Array>> {
    const location = await this.locate(digest, size, of);
    if (!location.ok) return location;
    const bytes = await readAll(this.#scan.root.read(location.value), size);
    return checkDigest(bytes, digest, location.value);
  }

  /** Hashes on from where the last search ended, so that every file is hashed once however many are looked for. */
  async #search(same: SameSize, digest: Digest): Promise<Location | undefined> {
    for (;;) {
      const known = same.byDigest.get(digest);
      const at = same.hashed;
      const next = same.files[at];
      if (known !== undefined || next === undefined) return known;
      const found = await hashOf(this.#scan.root.read(next));
      if (!same.byDigest.has(found)) same.byDigest.set(found, next);
      // Another search may have come by meanwhile.
      same.hashed = Math.max(same.hashed, at + 1);
    }
  }

  #missing(digest: Digest, of: string): Result<never> {
    const [unread] = this.#scan.unreadArchives;
    if (unread === undefined) {
      return refuse(
        'blob-missing',
        `${digest}, which ${of} needs, is not in the bundle; add the layout or file that has it.`,
      );
    }
    const [path, { code, detail }] = unread;
    return refuse(
      code,
      `${digest}, which ${of} needs, is not in the bundle, and ${shown(path)} is unreadable: ${detail}`,
    );
  }
}

export function checkDigest(bytes: Uint8Array, digest: Digest, { path }: Location): Result<Uint8Array> {
  const actual = digestOf(bytes);
  if (actual === digest) return ok(bytes);
  return refuse(
    'digest-mismatch',
    `The bytes of ${shown(path)} hash to ${actual} and not to ${digest}; make the bundle again.`,
  );
}

export const digestOf = (bytes: Uint8Array): Digest => asDigest(createHash('sha256').update(bytes).digest('hex'));

export async function hashOf(source: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const piece of source) hash.update(piece);
  return asDigest(hash.digest('hex'));
}

function asDigest(hex: string): Digest {
  const digest = `sha256:${hex}`;
  if (!isDigest(digest)) throw new Error('a hash has an unexpected form');
  return digest;
}
