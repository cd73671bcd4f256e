import { createHash } from 'node:crypto';
import { isDigest, ok, refuse } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { readAll } from './beneath.ts';
import type { Location } from './beneath.ts';
import { shown } from './scan.ts';
import type { Scan } from './scan.ts';

/** Finds bytes of a scanned bundle by digest. */
export class Content {
  readonly #scan: Scan;
  readonly #filesBySize = new Map<number, Location[]>();
  readonly #fileDigests = new Map<string, Digest>();

  constructor(scan: Scan) {
    this.#scan = scan;
    for (const file of scan.files) {
      const same = this.#filesBySize.get(file.size);
      if (same === undefined) this.#filesBySize.set(file.size, [file]);
      else same.push(file);
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
    const candidates = this.#filesBySize.get(size) ?? [];
    if (candidates.length === 1 && candidates[0] !== undefined) return ok(candidates[0]);
    for (const file of candidates) if ((await this.#digestOf(file)) === digest) return ok(file);
    return this.#missing(digest, of);
  }

  /** The bytes of a manifest, hashed and compared. Refuses as `locate`, and with `digest-mismatch`. */
  async readVerified(digest: Digest, size: number, of: string): Promise<Result<Uint8Array>> {
    const location = await this.locate(digest, size, of);
    if (!location.ok) return location;
    const bytes = await readAll(this.#scan.root.read(location.value), size);
    return checkDigest(bytes, digest, location.value);
  }

  async #digestOf(file: Location): Promise<Digest> {
    const known = this.#fileDigests.get(file.path);
    if (known !== undefined) return known;
    const digest = await hashOf(this.#scan.root.read(file));
    this.#fileDigests.set(file.path, digest);
    return digest;
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
