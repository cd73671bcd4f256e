import type { Digest } from './digest.ts';

/** A pack in a spool (PROTOCOL.md O-3) that was hashed and taken apart, each member compared with its name. */
export interface SpooledPack {
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
}

/** A content-addressed store. What it lists under a digest hashes to that digest when it was put; readers hash again. */
export interface BlobStore {
  /**
   * Stores the bytes under `digest`, durable on return (file and directory synced, or S3's answer).
   * The bytes are hashed on the way; throws OperationalError `store-digest-mismatch` and stores nothing when they differ.
   * Putting a digest that is there already is a cheap no-op.
   */
  put(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<void>;
  /** Takes a verified file in by rename where both lie on one file system, by copy (or upload) otherwise; the file is gone on return. */
  adopt(digest: Digest, size: number, path: string): Promise<void>;
  /** Stores many small blobs with as few syncs as possible (write all, sync once, rename, sync directories). Same checks as `put`. */
  putMany(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<void>;
  /**
   * Stores the blobs of packs, durable on return. Each pack is hashed again as it is read, since the spool is another's; throws `store-digest-mismatch`
   * and stores nothing when one is not what its digest says. The files stay.
   */
  putPacks(packs: readonly SpooledPack[]): Promise<void>;
  /** Size in bytes, or undefined when it is not there. */
  stat(digest: Digest): Promise<number | undefined>;
  /** The bytes. Throws OperationalError `store-missing` (not retryable) when it is not there. Not verified: hash what you read. */
  read(digest: Digest): Promise<AsyncIterable<Uint8Array>>;
  /** The whole blob, hashed and compared: throws `store-digest-mismatch`; throws `store-too-large` beyond `limit` bytes. */
  readVerified(digest: Digest, limit: number): Promise<Uint8Array>;
  remove(digest: Digest): Promise<void>;
  /** As `remove`, with as few syncs as possible. A pack goes with the last of its blobs. */
  removeMany(digests: readonly Digest[]): Promise<void>;
  /** What lies under the digest is not what it says: it is there no longer, and put apart for whoever looks into it. May be called again. */
  setAside(digest: Digest): Promise<void>;
  /** The pack in which a blob lies; undefined where there is none, or nobody knows. */
  packOf(digest: Digest): Promise<Digest | undefined>;
  /** Bytes that the store takes. */
  usage(): Promise<number>;
  list(): AsyncIterable<{ readonly digest: Digest; readonly size: number }>;
}
