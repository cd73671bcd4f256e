import { createHash, hash, randomUUID } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  fsync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Digest, type HashedFile, hexOf, isDigest, type Staging } from '@sluice/ports';
import { ioFault, mismatch } from './errors.ts';

const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o770;
const READ_BYTES = 1024 * 1024;
/** Syncs under way at once. */
const SYNCS = 8;
/** Why a move is not possible where a copy is: another file system or mount, or a directory that we may not write to. */
const UNMOVABLE = ['EXDEV', 'EACCES', 'EPERM'];

/** What a file of an input is called in `tmp`, beside its digest: it is the only one there that is nowhere else. */
const MOVED = '.moved';

/** A file in `tmp` that is to get its name. */
interface Written {
  readonly temporary: string;
  readonly digest: Digest;
}

interface Taken {
  readonly file: HashedFile;
  /** What it was when it had been hashed. */
  readonly stats: BigIntStats;
}

/** The staging store in a directory, laid out as `openFsStore` does. */
class FsStaging implements Staging {
  readonly #blobs: string;
  readonly #tmp: string;
  #written: Written[] = [];
  #taken: Taken[] = [];
  #syncs: Promise<void>[] = [];

  constructor(root: string, writer: string) {
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#tmp = join(root, 'tmp', writer);
    try {
      mkdirSync(this.#blobs, { recursive: true, mode: DIRECTORY_MODE });
      this.#nameMoved();
      rmSync(this.#tmp, { recursive: true, force: true });
      mkdirSync(this.#tmp, { recursive: true, mode: DIRECTORY_MODE });
    } catch (error) {
      throw ioFault(error, `opening the staging store at ${root}`);
    }
  }

  /** A process that ended between the two names of a file of an input left it here: its input has it no more. */
  #nameMoved(): void {
    const names = existsSync(this.#tmp) ? readdirSync(this.#tmp) : [];
    for (const name of names.filter((each) => each.endsWith(MOVED))) {
      const digest = `sha256:${name.slice(0, -MOVED.length)}`;
      const path = join(this.#tmp, name);
      if (isDigest(digest) && hashOfFile(path) === digest) renameSync(path, this.#path(digest));
    }
  }

  canTakeFrom(directory: string): boolean {
    const probe = join(directory, '.probe');
    try {
      closeSync(openSync(probe, 'w', FILE_MODE));
      renameSync(probe, join(this.#tmp, 'probe'));
      rmSync(join(this.#tmp, 'probe'));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw ioFault(error, `moving a file out of ${directory}`);
      rmSync(probe, { force: true });
      return false;
    }
  }

  /**
   * Naming a file sets its time of change and not that of its last write, so the two differ; whoever writes to it afterwards, through a descriptor that
   * was kept open, makes them equal. Then the bytes decide.
   */
  holds(digest: Digest, size: number): boolean {
    const path = this.#path(digest);
    try {
      const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      if (stats?.isFile() !== true || stats.size !== BigInt(size)) return false;
      if (stats.mtimeNs < stats.ctimeNs || hashOfFile(path) === digest) return true;
      rmSync(path);
      return false;
    } catch (error) {
      throw ioFault(error, `looking for blob ${digest}`);
    }
  }

  *read(digest: Digest): Generator<Uint8Array> {
    yield* piecesOf(this.#path(digest));
  }

  async add(bytes: Uint8Array): Promise<Digest> {
    const digest: Digest = `sha256:${hash('sha256', bytes, 'hex')}`;
    const { file, temporary } = this.#create();
    try {
      writeAll(file, bytes);
      await this.#syncLater(file);
      this.#written.push({ temporary, digest });
      return digest;
    } catch (error) {
      rmSync(temporary, { force: true });
      throw ioFault(error, `storing blob ${digest}`);
    } finally {
      closeSync(file);
    }
  }

  async copy(bytes: AsyncIterable<Uint8Array>, wants: (digest: Digest, size: number) => boolean): Promise<Digest> {
    const sum = createHash('sha256');
    const { file, temporary } = this.#create();
    let kept = false;
    try {
      let size = 0;
      for await (const piece of bytes) {
        sum.update(piece);
        this.#write(file, piece);
        size += piece.length;
      }
      const digest: Digest = `sha256:${sum.digest('hex')}`;
      kept = wants(digest, size);
      if (kept) {
        await this.#syncLater(file);
        this.#written.push({ temporary, digest });
      }
      return digest;
    } finally {
      closeSync(file);
      if (!kept) rmSync(temporary, { force: true });
    }
  }

  async take(file: HashedFile): Promise<void> {
    try {
      this.#taken.push({ file, stats: fstatSync(file.descriptor, { bigint: true }) });
      await this.#syncLater(file.descriptor);
    } catch (error) {
      throw ioFault(error, `taking blob ${file.digest} in`);
    }
  }

  async commit(): Promise<void> {
    try {
      await this.#nameWritten();
      // Each by itself: what was moved out of an input has its name at once, so that no failure can lose it.
      const unmoved = this.#taken.filter((taken) => !this.#move(taken));
      for (const { file } of unmoved) {
        const copied = await this.copy(inTurn(file.read()), (digest) => digest === file.digest);
        if (copied !== file.digest) throw mismatch(file.digest);
      }
      await this.#nameWritten();
      await syncPath(this.#blobs);
    } catch (error) {
      throw ioFault(error, 'storing the content of a bundle');
    } finally {
      this.discard();
    }
  }

  discard(): void {
    for (const { temporary } of this.#written) rmSync(temporary, { force: true });
    this.#written = [];
    this.#taken = [];
    this.#syncs = [];
  }

  /** Names what was written, once all of it and all files that are to be moved are durable. */
  async #nameWritten(): Promise<void> {
    await Promise.all(this.#syncs);
    for (const { temporary, digest } of this.#written) renameSync(temporary, this.#path(digest));
    this.#written = [];
  }

  /** False where it cannot be moved. Judged once nobody else has a path to it. */
  #move({ file, stats }: Taken): boolean {
    const temporary = join(this.#tmp, `${hexOf(file.digest)}${MOVED}`);
    try {
      renameSync(file.place(), temporary);
    } catch (error) {
      if (UNMOVABLE.includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
    try {
      if (!isSame(lstatSync(temporary, { bigint: true }), stats)) throw mismatch(file.digest);
      renameSync(temporary, this.#path(file.digest));
    } catch (error) {
      renameSync(temporary, file.place());
      throw error;
    }
    return true;
  }

  #create(): { readonly file: number; readonly temporary: string } {
    const temporary = join(this.#tmp, randomUUID());
    try {
      return { file: openSync(temporary, 'wx', FILE_MODE), temporary };
    } catch (error) {
      throw ioFault(error, 'making a file in the staging store');
    }
  }

  #write(file: number, bytes: Uint8Array): void {
    try {
      writeAll(file, bytes);
    } catch (error) {
      throw ioFault(error, 'writing to the staging store');
    }
  }

  /** Sets the disk to work at once; `commit` waits for it. Waits itself while the disk has enough to do. */
  async #syncLater(descriptor: number): Promise<void> {
    while (this.#syncs.length >= SYNCS) await this.#syncs.shift();
    // A descriptor of its own: the caller closes his.
    const own = openSync(`/proc/self/fd/${String(descriptor)}`, constants.O_RDONLY);
    const synced = promisify(fdatasync)(own).finally(() => {
      closeSync(own);
    });
    // Whoever waits hears of it; nobody may wait.
    synced.catch(() => undefined);
    this.#syncs.push(synced);
  }

  #path(digest: Digest): string {
    if (!isDigest(digest)) throw new Error('not a digest');
    return join(this.#blobs, hexOf(digest));
  }
}

const isSame = (a: BigIntStats, b: BigIntStats): boolean =>
  a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeNs === b.mtimeNs && a.nlink === 1n;

function* piecesOf(path: string): Generator<Uint8Array> {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (;;) {
      const buffer = new Uint8Array(READ_BYTES);
      const got = readSync(file, buffer);
      if (got === 0) return;
      yield buffer.subarray(0, got);
    }
  } finally {
    closeSync(file);
  }
}

function hashOfFile(path: string): Digest {
  const sum = createHash('sha256');
  for (const piece of piecesOf(path)) sum.update(piece);
  return `sha256:${sum.digest('hex')}`;
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}

async function* inTurn(bytes: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const piece of bytes) yield await Promise.resolve(piece);
}

async function syncPath(path: string): Promise<void> {
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await promisify(fsync)(directory);
  } finally {
    closeSync(directory);
  }
}

/**
 * The staging store for the one thread that fills it; others may read the same directory by `openFsStore`.
 * @param writer as of `openFsStore`: what this one left in `tmp` when it was killed is removed here.
 * @throws OperationalError `store-io`, `store-full`
 */
export const openStaging = (root: string, writer: string): Staging => new FsStaging(root, writer);
