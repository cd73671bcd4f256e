import { createHash, type Hash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobStore, type Digest, hexOf, isDigest } from '@sluice/ports';
import { ioFault, mismatch, missing, tooLarge } from './errors.ts';

const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o2750;
const READ_BYTES = 1024 * 1024;
/** Files written and synced side by side by `putMany`. */
const PARALLEL = 16;

const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}

/**
 * Blobs as files `blobs/sha256/HEX` under a root, written to `tmp/` first: hash, sync, rename, sync of the directory.
 * A name in `blobs` therefore always stands for whole and durable bytes.
 */
class FsStore implements BlobStore {
  readonly #blobs: string;
  readonly #tmp: string;

  constructor(root: string) {
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#tmp = join(root, 'tmp');
  }

  /** Makes the directories and throws away what a crash left in `tmp`. */
  async open(): Promise<void> {
    try {
      await mkdir(this.#blobs, { recursive: true, mode: DIRECTORY_MODE });
      await rm(this.#tmp, { recursive: true, force: true });
      await mkdir(this.#tmp, { mode: DIRECTORY_MODE });
    } catch (error) {
      throw ioFault(error, `opening the store at ${this.#blobs}`);
    }
  }

  async put(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
    if ((await this.stat(digest)) !== undefined) return;
    const temporary = this.#temporary();
    try {
      await this.#write(temporary, digest, size, bytes);
      await rename(temporary, this.#path(digest));
      await syncDirectory(this.#blobs);
    } catch (error) {
      await rm(temporary, { force: true });
      throw ioFault(error, `storing blob ${digest}`);
    }
  }

  async adopt(digest: Digest, size: number, path: string): Promise<void> {
    if ((await this.stat(digest)) !== undefined) {
      await rm(path, { force: true });
      return;
    }
    try {
      const there = await stat(path);
      if (there.size !== size) throw mismatch(digest);
      await this.#bringOver(path, this.#path(digest));
      await syncDirectory(this.#blobs);
    } catch (error) {
      throw ioFault(error, `taking blob ${digest} in from ${path}`);
    }
  }

  async putMany(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<void> {
    const written: { readonly digest: Digest; readonly temporary: string }[] = [];
    try {
      const waiting = [...blobs];
      const writeSome = async (): Promise<void> => {
        for (let blob = waiting.pop(); blob !== undefined; blob = waiting.pop()) {
          if ((await this.stat(blob.digest)) !== undefined) continue;
          const temporary = this.#temporary();
          written.push({ digest: blob.digest, temporary });
          await this.#write(temporary, blob.digest, blob.bytes.length, blob.bytes);
        }
      };
      const ended = await Promise.allSettled(Array.from({ length: PARALLEL }, writeSome));
      const failed = ended.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason as Error;
      for (const { digest, temporary } of written) await rename(temporary, this.#path(digest));
      await syncDirectory(this.#blobs);
    } catch (error) {
      for (const { temporary } of written) await rm(temporary, { force: true });
      throw ioFault(error, `storing ${String(blobs.length)} blobs`);
    }
  }

  async stat(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.#path(digest))).size;
    } catch (error) {
      if (isGone(error)) return undefined;
      throw ioFault(error, `looking for blob ${digest}`);
    }
  }

  async read(digest: Digest): Promise<AsyncIterable<Uint8Array>> {
    const file = await this.#openBlob(digest);
    return chunksOf(file, digest);
  }

  async readVerified(digest: Digest, limit: number): Promise<Uint8Array> {
    await using file = await this.#openBlob(digest);
    const { size } = await file.stat();
    if (size > limit) throw tooLarge(digest, limit);
    const bytes = await file.readFile();
    if (createHash('sha256').update(bytes).digest('hex') !== hexOf(digest)) throw mismatch(digest);
    return bytes;
  }

  async remove(digest: Digest): Promise<void> {
    try {
      await rm(this.#path(digest), { force: true });
      await syncDirectory(this.#blobs);
    } catch (error) {
      throw ioFault(error, `removing blob ${digest}`);
    }
  }

  async *list(): AsyncGenerator<{ readonly digest: Digest; readonly size: number }> {
    for (const name of await readdir(this.#blobs)) {
      const digest = `sha256:${name}`;
      const size = isDigest(digest) ? await this.stat(digest) : undefined;
      if (isDigest(digest) && size !== undefined) yield { digest, size };
    }
  }

  #path(digest: Digest): string {
    if (!isDigest(digest)) throw new Error('not a digest');
    return join(this.#blobs, hexOf(digest));
  }

  #temporary(): string {
    return join(this.#tmp, randomUUID());
  }

  async #write(
    path: string,
    digest: Digest,
    size: number,
    bytes: AsyncIterable<Uint8Array> | Uint8Array,
  ): Promise<void> {
    const hash: Hash = createHash('sha256');
    let written = 0;
    await using file = await open(path, 'wx', FILE_MODE);
    for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
      written += chunk.length;
      if (written > size) throw mismatch(digest);
      hash.update(chunk);
      await writeAll(file, chunk);
    }
    if (written !== size || hash.digest('hex') !== hexOf(digest)) throw mismatch(digest);
    await file.datasync();
  }

  /** Renames where both lie on one file system; else copies, syncs and removes. */
  async #bringOver(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      const temporary = this.#temporary();
      await copyFile(from, temporary);
      {
        await using file = await open(temporary, 'r+');
        await file.datasync();
      }
      await rename(temporary, to);
      await rm(from, { force: true });
    }
  }

  async #openBlob(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.#path(digest), 'r');
    } catch (error) {
      throw isGone(error) ? missing(digest) : ioFault(error, `reading blob ${digest}`);
    }
  }
}

async function* chunksOf(file: FileHandle, digest: Digest): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const buffer = new Uint8Array(READ_BYTES);
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw ioFault(error, `reading blob ${digest}`);
  } finally {
    await file.close();
  }
}

/** A store in a directory. @throws OperationalError `store-io`, `store-full` */
export async function openFsStore(root: string): Promise<BlobStore> {
  const store = new FsStore(root);
  await store.open();
  return store;
}
