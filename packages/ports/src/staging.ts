import type { Digest } from './digest.ts';

/** A file that was hashed where it lies: taken over as it is, if it is still the same at the end. */
export interface HashedFile {
  readonly digest: Digest;
  readonly size: number;
  /** Its descriptor, open during the call of `take`. */
  readonly descriptor: number;
  /** A path that leads to it now. */
  readonly place: () => string;
  /** Reads it anew. */
  readonly read: () => Iterable<Uint8Array>;
}

/**
 * Where the staging side puts content, under its digest. Used by one caller at a time, with calls that block where they can. Nothing has its name before
 * `commit`, which makes all of it durable first.
 */
export interface Staging {
  /** True when files can be moved here from a directory, which must be ours: some are on another file system or mount. */
  canTakeFrom(directory: string): boolean;
  /** True when a blob lies here as it was when it got its name. */
  holds(digest: Digest, size: number): boolean;
  /** The bytes of a blob. */
  read(digest: Digest): Iterable<Uint8Array>;
  /** Takes bytes of our own making; gives their digest. */
  add(bytes: Uint8Array): Promise<Digest>;
  /** Copies bytes in and gives what they hash to; they are kept if that is wanted. */
  copy(bytes: AsyncIterable<Uint8Array>, wants: (digest: Digest, size: number) => boolean): Promise<Digest>;
  /** Takes a file at `commit`: by a move, or where that cannot be by a copy, which is hashed once more. */
  take(file: HashedFile): Promise<void>;
  /**
   * Throws `store-digest-mismatch` when a file that was taken has been written to or exchanged since it was hashed: it then stays where it is. What has
   * its name by then keeps it.
   */
  commit(): Promise<void>;
  /** Forgets what was not committed. */
  discard(): void;
}
