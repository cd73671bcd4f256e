import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import type { ObjectSource } from '@sluice/transfer';

/** Files kept open for reading. */
const OPEN_FILES = 64;

/** Reads objects from the staging store by their digest. */
export class StagedObjects implements ObjectSource {
  readonly #root: string;
  readonly #files = new Map<Digest, number>();

  constructor(root: string) {
    this.#root = root;
  }

  read(digest: Digest, offset: number, into: Uint8Array): void {
    const file = this.#file(digest);
    let done = 0;
    while (done < into.length) {
      const got = readSync(file, into, done, into.length - done, offset + done);
      if (got === 0) throw new Error(`object ${digest} in the staging store is shorter than it was`);
      done += got;
    }
  }

  /** Between passes: what is open has its room, though it was removed. */
  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #file(digest: Digest): number {
    const known = this.#files.get(digest);
    // Without a name: removed, since it was damaged, and there may be a good one.
    if (known !== undefined && fstatSync(known).nlink === 0) {
      this.#files.delete(digest);
      closeSync(known);
    } else if (known !== undefined) return known;
    for (const [oldest, file] of this.#files) {
      if (this.#files.size < OPEN_FILES) break;
      closeSync(file);
      this.#files.delete(oldest);
    }
    const file = openSync(join(this.#root, 'blobs', 'sha256', hexOf(digest)), 'r');
    this.#files.set(digest, file);
    return file;
  }
}
