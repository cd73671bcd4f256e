import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, opendir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type BlobStore, type Digest, hexOf, isDigest, type SpooledPack } from '@sluice/ports';
import type { BatchEnd } from './batch-messages.ts';
import { BatchWriter } from './batch.ts';
import { fileBytes, Inflow, openFile, verified } from './content.ts';
import { exchanged, ioFault, isGone, mismatch, missing, tooLarge } from './errors.ts';
import { type PackedPlace, PackIndex } from './pack-index.ts';

// The group shares the store. The set-group-id bit comes with the directory around it: a hardened unit may not set it.
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o770;
const WRITER = /^[a-z0-9-]{1,64}$/;
/** Damaged blobs that are kept; the oldest go. */
const ASIDE_MAX = 16;
/** Blobs taken out of the index in one transaction. */
const UNPACKED_AT_ONCE = 10_000;

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}

/** Best effort: what stays is removed by the next `open`. */
const discard = (path: string): Promise<void> => rm(path, { force: true }).catch(() => undefined);

/**
 * Blobs as files `blobs/sha256/HEX` under a root, small ones in the packs they came in, `packs/sha256/HEX`, written to `tmp/WRITER/` first: hash, sync, rename, sync of the directory.
 * A name in `blobs` therefore always stands for whole and durable bytes. What turned out to be damaged lies in `damaged/HEX`.
 */
class FsStore implements BlobStore {
  readonly #root: string;
  readonly #blobs: string;
  readonly #tmp: string;
  readonly #packs: string;
  readonly #indexPath: string;
  readonly #batches: BatchWriter;
  /** Opened once there is one. */
  #index: PackIndex | undefined;
  /** Names that were given and whose directory is not synced yet. */
  #unsynced = 0;

  constructor(root: string, writer: string) {
    if (!WRITER.test(writer)) throw new Error(`not a name of a writer: ${writer}`);
    this.#root = root;
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#tmp = join(root, 'tmp', writer);
    this.#packs = join(root, 'packs', 'sha256');
    this.#indexPath = join(root, 'packs', 'index.sqlite');
    this.#batches = new BatchWriter({ blobs: this.#blobs, tmp: this.#tmp, packs: this.#packs, index: this.#indexPath });
  }

  /** Makes the directories and throws away what a crash of this writer left. What is there afterwards is durable. */
  async open(): Promise<void> {
    try {
      await rm(this.#tmp, { recursive: true, force: true });
      for (const path of [this.#blobs, this.#tmp]) await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
      for (const path of [this.#blobs, dirname(this.#blobs), this.#root]) await syncDirectory(path);
    } catch (error) {
      throw ioFault(error, `opening the store at ${this.#root}`);
    }
  }

  /** Mends what a process left that was killed while it changed the index. Where that cannot be, whoever needs the index hears of it. */
  mend(): void {
    try {
      this.#openIndex();
    } catch {
      this.#index = undefined;
    }
  }

  async put(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
    const inflow = new Inflow(digest, size, bytes);
    try {
      if (!(await this.#holds(digest, size))) await this.#name([await this.#write(inflow)]);
    } catch (error) {
      throw inflow.threw(error) ? error : ioFault(error, `storing blob ${digest}`);
    }
  }

  async adopt(digest: Digest, size: number, path: string): Promise<void> {
    try {
      if (!(await this.#holds(digest, size))) await this.#bringOver(digest, size, path);
      await rm(path, { force: true });
    } catch (error) {
      throw ioFault(error, `taking blob ${digest} in from ${path}`);
    }
  }

  async putMany(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<void> {
    const different = [...new Map(blobs.map((blob) => [blob.digest, blob] as const)).values()];
    if (different.length === 0) return;
    for (const { digest } of different) this.#path(digest);
    // The thread syncs the directory itself, also for what others named before.
    this.#unsynced += 1;
    const end = await this.#batches.store(different);
    if (end.type === 'stored' || !end.named) this.#unsynced -= 1;
    throwUnlessStored(end, `storing ${String(blobs.length)} blobs`);
  }

  async putPacks(packs: readonly SpooledPack[]): Promise<void> {
    for (const { digest } of packs) this.#path(digest);
    if (packs.length === 0) return;
    throwUnlessStored(await this.#batches.storePacks(packs), `storing ${String(packs.length)} packs`);
  }

  async stat(digest: Digest): Promise<number | undefined> {
    try {
      return (await this.#fileSize(digest)) ?? this.#packed(digest)?.size;
    } catch (error) {
      throw ioFault(error, `looking for blob ${digest}`);
    }
  }

  async read(digest: Digest): Promise<AsyncIterable<Uint8Array>> {
    if ((await this.stat(digest)) === undefined) throw missing(digest);
    return this.#bytes(digest);
  }

  async readVerified(digest: Digest, limit: number): Promise<Uint8Array> {
    if (((await this.stat(digest)) ?? 0) > limit) throw tooLarge(digest, limit);
    return verified(digest, limit, this.#bytes(digest));
  }

  remove(digest: Digest): Promise<void> {
    return this.removeMany([digest]);
  }

  async removeMany(digests: readonly Digest[]): Promise<void> {
    try {
      for (const digest of digests) await rm(this.#path(digest), { force: true });
      await syncDirectory(this.#blobs);
      const packed = digests.filter((digest) => this.#packed(digest) !== undefined);
      for (let at = 0; at < packed.length; at += UNPACKED_AT_ONCE)
        await this.#unpack(packed.slice(at, at + UNPACKED_AT_ONCE));
    } catch (error) {
      throw ioFault(error, `removing ${String(digests.length)} blobs, the first ${String(digests[0])}`);
    }
  }

  /** A file is moved. What lies in a pack stays there with the rest of it: it is found no longer, which is enough. */
  async setAside(digest: Digest): Promise<void> {
    const aside = join(this.#root, 'damaged');
    try {
      await mkdir(aside, { recursive: true, mode: DIRECTORY_MODE });
      if ((await this.#fileSize(digest)) === undefined) {
        if (this.#packed(digest) !== undefined) await this.#unpack([digest]);
        return;
      }
      await rename(this.#path(digest), join(aside, hexOf(digest)));
      await syncDirectory(this.#blobs);
      await pruneAside(aside);
    } catch (error) {
      throw ioFault(error, `putting the damaged blob ${digest} aside`);
    }
  }

  async packOf(digest: Digest): Promise<Digest | undefined> {
    try {
      return (await this.#fileSize(digest)) === undefined ? this.#packed(digest)?.pack : undefined;
    } catch (error) {
      throw ioFault(error, `looking for blob ${digest}`);
    }
  }

  async usage(): Promise<number> {
    try {
      return (await sizeOfFiles(this.#blobs)) + (await sizeOfFiles(this.#packs));
    } catch (error) {
      throw ioFault(error, 'measuring the store');
    }
  }

  async *list(): AsyncGenerator<{ readonly digest: Digest; readonly size: number }> {
    try {
      for await (const { name } of await opendir(this.#blobs)) {
        const digest = `sha256:${name}`;
        const size = isDigest(digest) ? await this.#fileSize(digest) : undefined;
        if (isDigest(digest) && size !== undefined) yield { digest, size };
      }
      for (const { digest, size } of this.#openIndex()?.list() ?? [])
        if ((await this.#fileSize(digest)) === undefined) yield { digest, size };
    } catch (error) {
      throw ioFault(error, 'listing the store');
    }
  }

  async #fileSize(digest: Digest): Promise<number | undefined> {
    try {
      return (await lstat(this.#path(digest))).size;
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  #openIndex(): PackIndex | undefined {
    return (this.#index ??= PackIndex.openToRead(this.#indexPath));
  }

  #packed(digest: Digest): PackedPlace | undefined {
    try {
      return this.#openIndex()?.find(digest);
    } catch (error) {
      // The next call opens it anew, which mends what a killed process left.
      this.#index?.close();
      this.#index = undefined;
      throw error;
    }
  }

  /** The bytes of a pack go with the last of its blobs. */
  async #unpack(digests: readonly Digest[]): Promise<void> {
    const index = PackIndex.open(this.#indexPath);
    try {
      const empty = index.change(() => {
        for (const digest of digests) index.remove(digest);
        return index.takeEmpty();
      });
      for (const pack of empty) await rm(join(this.#packs, hexOf(pack)), { force: true });
    } finally {
      index.close();
    }
  }

  #path(digest: Digest): string {
    if (!isDigest(digest)) throw new Error('not a digest');
    return join(this.#blobs, hexOf(digest));
  }

  /** Never for a blob of another size: that one is damaged, and is to be replaced. */
  async #holds(digest: Digest, size: number): Promise<boolean> {
    if ((await this.stat(digest)) !== size) return false;
    // Another call may have given the name a moment ago.
    if (this.#unsynced > 0) await syncDirectory(this.#blobs);
    return true;
  }

  async #write(inflow: Inflow): Promise<Written> {
    const temporary = join(this.#tmp, randomUUID());
    try {
      await using file = await open(temporary, 'wx', FILE_MODE);
      for await (const chunk of inflow) await writeAll(file, chunk);
      await file.datasync();
    } catch (error) {
      await discard(temporary);
      throw error;
    }
    return { temporary, digest: inflow.digest };
  }

  async #name(written: readonly Written[]): Promise<void> {
    this.#unsynced += 1;
    for (const { temporary, digest } of written) await rename(temporary, this.#path(digest));
    await syncDirectory(this.#blobs);
    // Not reached when one of these failed: then each later call syncs once more.
    this.#unsynced -= 1;
  }

  /** By rename where both lie on one file system; else by a copy, which is hashed. */
  async #bringOver(digest: Digest, size: number, path: string): Promise<void> {
    {
      await using file = await openFile(path);
      const found = await file.stat();
      if (!found.isFile() || found.size !== size) throw mismatch(digest);
      await file.datasync();
    }
    try {
      await this.#name([{ temporary: path, digest }]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      this.#unsynced -= 1; // no name was given
      await this.#name([await this.#write(new Inflow(digest, size, fileBytes(path)))]);
    }
  }

  async *#bytes(digest: Digest): AsyncGenerator<Uint8Array> {
    try {
      const packed = (await this.#fileSize(digest)) === undefined ? this.#packed(digest) : undefined;
      if (packed === undefined) yield* fileBytes(this.#path(digest));
      else yield* fileBytes(join(this.#packs, hexOf(packed.pack)), packed);
    } catch (error) {
      if (isGone(error)) throw missing(digest);
      // A link where a file was.
      throw (error as NodeJS.ErrnoException).code === 'ELOOP'
        ? exchanged(digest)
        : ioFault(error, `reading blob ${digest}`);
    }
  }
}

/** Bytes of the files in a directory; 0 when there is none. */
async function sizeOfFiles(path: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const { name } of await opendir(path)) bytes += await sizeAt(join(path, name));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return bytes;
}

/** 0 for what has gone meanwhile. */
async function sizeAt(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}

async function pruneAside(path: string): Promise<void> {
  const names = await readdir(path);
  if (names.length <= ASIDE_MAX) return;
  const dated = await Promise.all(names.map(async (name) => ({ name, at: (await lstat(join(path, name))).ctimeMs })));
  dated.sort((a, b) => a.at - b.at);
  for (const { name } of dated.slice(0, names.length - ASIDE_MAX)) await rm(join(path, name), { force: true });
}

function throwUnlessStored(end: BatchEnd, what: string): void {
  if (end.type === 'mismatch') throw mismatch(end.digest);
  if (end.type !== 'io') return;
  throw ioFault(Object.assign(new Error(end.message), { code: end.code, syscall: end.syscall }), what);
}

interface Written {
  readonly temporary: string;
  readonly digest: Digest;
}

/** A store in a directory for who only reads it: nothing in it is made or removed. */
export const readFsStore = (root: string): BlobStore => new FsStore(root, 'reader');

/**
 * A store in a directory, which several processes may share.
 * @param writer lower-case letters, digits and hyphens: which of them this is. What it left in `tmp` when it was killed is removed here.
 * @throws OperationalError `store-io`, `store-full`
 */
export async function openFsStore(root: string, writer = 'main'): Promise<BlobStore> {
  const store = new FsStore(root, writer);
  await store.open();
  store.mend();
  return store;
}
