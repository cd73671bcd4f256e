import { ok, refuse } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { readAll } from './beneath.ts';
import type { Location } from './beneath.ts';
import { digestOf, hashFile } from './hashing.ts';
import { shown } from './scan.ts';
import type { Scan } from './scan.ts';

/** Finds bytes of a scanned bundle by digest. */
export class Content {
  readonly #scan: Scan;
  /** What layouts claim to have: the first that names a digest counts. */
  readonly blobs: ReadonlyMap<Digest, Location>;
  readonly #filesBySize: ReadonlyMap<number, readonly Location[]>;
  /** Plain files whose digest is known, by it. */
  readonly #filesByDigest = new Map<Digest, Location>();
  /** Sizes of which all files are in `#filesByDigest`. */
  readonly #hashedSizes = new Set<number>();

  constructor(scan: Scan) {
    this.#scan = scan;
    const blobs = new Map<Digest, Location>();
    for (const layout of scan.layouts) {
      for (const [digest, blob] of layout.blobs) if (!blobs.has(digest)) blobs.set(digest, blob);
    }
    this.blobs = blobs;
    this.#filesBySize = Map.groupBy(scan.files, ({ size }) => size);
  }

  /** The blob of a layout that claims the digest. Refuses `size-mismatch`. */
  inLayout(digest: Digest, size: number, of: string): Result<Location | undefined> {
    const blob = this.blobs.get(digest);
    if (blob === undefined || blob.size === size) return ok(blob);
    return refuse(
      'size-mismatch',
      `${shown(blob.path)} has ${blob.size} bytes where ${of} says ${size}; make the bundle again.`,
    );
  }

  /** Plain files of a size. */
  ofSize(size: number): readonly Location[] {
    return this.#filesBySize.get(size) ?? [];
  }

  /**
   * Where the bytes of `digest` should lie: in a layout under that name, else in a plain file of that size. A plain file is hashed here only when
   * several have the size; a single one is a claim like a blob's name. Refuses with `blob-missing` or `size-mismatch`.
   */
  locate(digest: Digest, size: number, of: string): Result<Location> {
    const blob = this.inLayout(digest, size, of);
    if (!blob.ok) return blob;
    if (blob.value !== undefined) return ok(blob.value);
    const candidates = this.ofSize(size);
    const [single] = candidates;
    if (candidates.length === 1 && single !== undefined) return ok(single);
    this.#hashAll(size, candidates);
    const file = this.#filesByDigest.get(digest);
    return file?.size === size ? ok(file) : this.missing(digest, of);
  }

  /** The bytes of a manifest, hashed and compared. Refuses as `locate`, and with `digest-mismatch`. */
  readVerified(digest: Digest, size: number, of: string): Result<Uint8Array> {
    const location = this.locate(digest, size, of);
    if (!location.ok) return location;
    return checkDigest(readAll(this.#scan.root.read(location.value), size), digest, location.value);
  }

  /** That a blob is not in the bundle: the refusal, by the likely reason. */
  missing(digest: Digest, of: string): Result<never> {
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

  #hashAll(size: number, files: readonly Location[]): void {
    if (this.#hashedSizes.has(size)) return;
    this.#hashedSizes.add(size);
    for (const file of files) {
      const digest = file.digest ?? hashFile(this.#scan.root, file);
      if (!this.#filesByDigest.has(digest)) this.#filesByDigest.set(digest, file);
    }
  }
}

/** The bytes, if they are what the digest says. Refuses `digest-mismatch`. */
export function checkDigest(bytes: Uint8Array, digest: Digest, location: Location): Result<Uint8Array> {
  const actual = digestOf(bytes);
  return actual === digest ? ok(bytes) : wrongBytes(location, actual, digest);
}

export const wrongBytes = ({ path }: Location, actual: Digest, digest: Digest): Result<never> =>
  refuse(
    'digest-mismatch',
    `The bytes of ${shown(path)} hash to ${actual} and not to ${digest}; make the bundle again.`,
  );
