import { hash, randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { PACK_BYTES_LIMIT, readPack } from '@sluice/bundle';
import { type Digest, hexOf, type SpooledPack } from '@sluice/ports';
import type { BatchPlaces } from './batch-messages.ts';
import { type Member, PackIndex } from './pack-index.ts';
import { Mismatch, SYNC_WHOLE_FROM, syncFileSystem, syncPath } from './syncs.ts';

const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o770;

interface Written {
  readonly digest: Digest;
  readonly temporary: string;
  readonly members: readonly Member[];
}

/** Keeps packs as they are, in files of the store's own, with their blobs in the index. Calls block. */
export class PackWriter implements Disposable {
  readonly #tmp: string;
  readonly #packs: string;
  readonly #index: PackIndex;

  /** Removes what a crash left without a place in the index: a name is given, and put there, in one transaction. */
  constructor({ tmp, packs, index }: BatchPlaces) {
    this.#tmp = tmp;
    this.#packs = packs;
    mkdirSync(packs, { recursive: true, mode: DIRECTORY_MODE });
    for (const above of [dirname(packs), dirname(dirname(packs))]) syncPath(above, fsyncSync);
    this.#index = PackIndex.open(index);
    this.#index.change(() => {
      for (const name of readdirSync(packs)) if (!this.#index.has(`sha256:${name}`)) rmSync(join(packs, name));
    });
  }

  [Symbol.dispose](): void {
    this.#index.close();
  }

  /** Hashed as they are copied out of the spool, which is not ours; all durable before the first has a name. */
  store(packs: readonly SpooledPack[]): void {
    const written: Written[] = [];
    try {
      for (const pack of packs) written.push(this.#write(pack));
      const isSynced = written.length >= SYNC_WHOLE_FROM && syncFileSystem(this.#tmp);
      if (!isSynced) for (const { temporary } of written) syncPath(temporary, fdatasyncSync);
      this.#name(written);
    } catch (error) {
      for (const { temporary } of written) rmSync(temporary, { force: true });
      throw error;
    }
  }

  #write({ digest, size, path }: SpooledPack): Written {
    const bytes = readWhole(path, size);
    if (bytes === undefined || hash('sha256', bytes, 'hex') !== hexOf(digest)) throw new Mismatch(digest);
    const members = readPack(bytes);
    if (!members.ok) throw new Mismatch(digest);
    const temporary = join(this.#tmp, randomUUID());
    const file = openSync(temporary, 'wx', FILE_MODE);
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      closeSync(file);
    }
    const places = members.value.map((member) => ({
      digest: member.digest,
      offset: member.bytes.byteOffset - bytes.byteOffset,
      size: member.bytes.length,
    }));
    return { digest, temporary, members: places };
  }

  #name(written: readonly Written[]): void {
    const empty = this.#index.change(() => {
      for (const { digest, temporary } of written) renameSync(temporary, join(this.#packs, hexOf(digest)));
      syncPath(this.#packs, fsyncSync);
      for (const { digest, members } of written) this.#index.add(digest, members);
      return this.#index.takeEmpty();
    });
    for (const digest of empty) rmSync(join(this.#packs, hexOf(digest)), { force: true });
  }
}

/** The bytes of a regular file of this size; undefined for anything else. */
function readWhole(path: string, size: number): Uint8Array | undefined {
  if (size > PACK_BYTES_LIMIT) return undefined;
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size !== size) return undefined;
    const bytes = new Uint8Array(size);
    for (let done = 0; done < size;) {
      const got = readSync(file, bytes, done, size - done, done);
      if (got === 0) return undefined;
      done += got;
    }
    return bytes;
  } finally {
    closeSync(file);
  }
}
