import { createHash } from 'node:crypto';
import { type BlobStore, type Digest, hexOf, OperationalError } from '@sluice/ports';

/** What is wrong with a blob, and not with the store: its bytes are others, there are none, or the disk cannot read them. */
export function isDamage(error: unknown): boolean {
  if (!(error instanceof OperationalError)) return false;
  if (error.code === 'store-missing' || error.code === 'store-digest-mismatch') return true;
  return error.code === 'store-io' && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EIO';
}

/** A store in which a blob counts as there once it was hashed. One that does not hold is put aside, and is not there. */
export class CheckedStore implements Pick<BlobStore, 'stat' | 'readVerified'> {
  readonly #store: BlobStore;
  readonly #good = new Map<Digest, number>();
  /** What was put aside, and in which pack it lay, as far as the store knows. */
  readonly damaged = new Map<Digest, Digest | undefined>();

  constructor(store: BlobStore) {
    this.#store = store;
  }

  async stat(digest: Digest): Promise<number | undefined> {
    const known = this.#good.get(digest);
    if (known !== undefined) return known;
    // The one that is put aside may have hidden another, in a pack.
    for (let size = await this.#store.stat(digest); size !== undefined; size = await this.#store.stat(digest)) {
      if (await this.#holds(digest)) {
        this.#good.set(digest, size);
        return size;
      }
      await this.#putAside(digest);
    }
    return undefined;
  }

  async readVerified(digest: Digest, limit: number): Promise<Uint8Array> {
    try {
      return await this.#store.readVerified(digest, limit);
    } catch (error) {
      if (isDamage(error)) await this.#putAside(digest);
      throw error;
    }
  }

  async #putAside(digest: Digest): Promise<void> {
    this.#good.delete(digest);
    const pack = await this.#store.packOf(digest);
    this.damaged.set(digest, pack ?? this.damaged.get(digest));
    await this.#store.setAside(digest);
  }

  async #holds(digest: Digest): Promise<boolean> {
    const hash = createHash('sha256');
    try {
      for await (const piece of await this.#store.read(digest)) hash.update(piece);
    } catch (error) {
      if (isDamage(error)) return false;
      throw error;
    }
    return hash.digest('hex') === hexOf(digest);
  }
}
