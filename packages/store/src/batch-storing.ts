import { hash, randomUUID } from 'node:crypto';
import { closeSync, fdatasyncSync, fsyncSync, lstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import type { Batch, BatchEnd, BatchPlaces, PackBatch } from './batch-messages.ts';
import { PackWriter } from './pack-writer.ts';
import { Mismatch, SYNC_WHOLE_FROM, syncFileSystem, syncPath } from './syncs.ts';

const FILE_MODE = 0o640;

/** One batch on its way: written, synced, named, in this order, so that a name always stands for whole and durable bytes. */
class Storing {
  readonly #places: BatchPlaces;
  readonly #prefix = randomUUID();
  readonly #written: { readonly temporary: string; readonly digest: Digest }[] = [];
  /** True from the first name until the directory is synced. */
  named = false;

  constructor(places: BatchPlaces) {
    this.#places = places;
  }

  write({ blobs: items, bytes }: Batch): void {
    let at = 0;
    for (const { digest, size } of items) {
      const piece = new Uint8Array(bytes, at, size);
      at += size;
      if (lstatSync(this.#path(digest), { throwIfNoEntry: false })?.size === size) continue;
      if (hash('sha256', piece, 'hex') !== hexOf(digest)) throw new Mismatch(digest);
      this.#writeOne(digest, piece);
    }
  }

  sync(): void {
    if (this.#written.length >= SYNC_WHOLE_FROM && syncFileSystem(this.#places.tmp)) return;
    for (const { temporary } of this.#written) syncPath(temporary, fdatasyncSync);
  }

  name(): void {
    this.named = true;
    for (const { temporary, digest } of this.#written) renameSync(temporary, this.#path(digest));
    // Also for those that were there: another call may have given their names a moment ago.
    syncPath(this.#places.blobs, fsyncSync);
    this.named = false;
  }

  /** Best effort: what stays is removed by the next opening of the store. */
  discard(): void {
    for (const { temporary } of this.#written) rmSync(temporary, { force: true });
  }

  #path(digest: Digest): string {
    return join(this.#places.blobs, hexOf(digest));
  }

  #writeOne(digest: Digest, bytes: Uint8Array): void {
    const temporary = join(this.#places.tmp, `${this.#prefix}-${String(this.#written.length)}`);
    const file = openSync(temporary, 'wx', FILE_MODE);
    this.#written.push({ temporary, digest });
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
    } finally {
      closeSync(file);
    }
  }
}

/** Stores one batch, with calls that block: for small files they take a fraction of what promises take. */
export function storeBatch(batch: Batch | PackBatch, places: BatchPlaces): BatchEnd {
  const { id } = batch;
  const storing = new Storing(places);
  try {
    if (batch.type === 'packs') {
      using writer = new PackWriter(places);
      writer.store(batch.packs);
      return { id, type: 'stored' };
    }
    storing.write(batch);
    storing.sync();
    storing.name();
    return { id, type: 'stored' };
  } catch (error) {
    storing.discard();
    const { named } = storing;
    if (error instanceof Mismatch) return { id, type: 'mismatch', digest: error.digest, named };
    const { message, code, syscall } = error as NodeJS.ErrnoException;
    // What is no error of the system is a mistake of ours: it ends this thread, and with it the process.
    if (code === undefined || syscall === undefined) throw error;
    return { id, type: 'io', message, code, syscall, named };
  }
}
