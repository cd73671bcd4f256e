import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, realpath, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { type Digest, hexOf, ok, OperationalError, refuse, type Result } from '@sluice/ports';
import type { ImportStore } from './unreadable.ts';

/** Staging area inside the files directory, so that delivery is a rename. No release may deliver there. */
const STAGING = '.sluice';
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** Directories known to be durable; beyond, all are made so once more. */
const NAMED_LIMIT = 10_000;

/** A file staged: verified bytes that are not in their place yet. */
export interface StagedFile {
  readonly path: string;
  readonly digest: Digest;
}

function worldError(error: unknown, what: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (error instanceof OperationalError || code === undefined) return error;
  const text = `${what} failed (${code}); free space, or mend owner and mode of the files directory`;
  return new OperationalError('files-unwritable', text, { retryable: true, cause: error });
}

/** Delivers file artifacts below one directory: whole or not at all, never through a symbolic link. */
export class FileSite {
  readonly #root: string;
  /** Directories whose names are durable. */
  readonly #named = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Writes the blob beside its place and verifies it. Refuses `digest-mismatch` and `path-outside-root`. */
  async stage(store: ImportStore, path: string, digest: Digest, size: number): Promise<Result<StagedFile>> {
    if (path.split('/')[0] === STAGING)
      return refuse('path-outside-root', `the directory ${STAGING} is not for releases`);
    try {
      await this.#directory(dirname(path));
      const staged = await this.#staged({ path, digest });
      if ((await digestOf(staged)) === digest) {
        // Whoever wrote it may have ended before it was on the disk.
        await sync(staged);
        return ok({ path, digest });
      }
      await rm(staged, { force: true });
      const written = await write(staged, await store.read(digest), size);
      if (written === digest) return ok({ path, digest });
      await rm(staged, { force: true });
      return refuse(
        'digest-mismatch',
        `the store holds other bytes under ${digest}; someone exchanged them or the disk is failing`,
      );
    } catch (error) {
      throw worldError(error, `staging the file ${path}`);
    }
  }

  /** Puts a staged file into its place and reads it back; resolves to the digest of what is there. */
  async publish({ path, digest }: StagedFile): Promise<Digest> {
    try {
      const directory = await this.#directory(dirname(path));
      const target = join(this.#root, path);
      if ((await digestOf(target)) !== digest) await rename(await this.#staged({ path, digest }), target);
      // Also a name that an earlier try gave, which may have failed here.
      await sync(directory);
      const there = await digestOf(target);
      if (there === digest) return there;
      throw new OperationalError('files-unwritable', `${target} does not hold what was written; check the disk`, {
        retryable: true,
      });
    } catch (error) {
      throw worldError(error, `delivering the file ${path}`);
    }
  }

  /** Removes what is still staged. */
  async discard(files: readonly StagedFile[]): Promise<void> {
    for (const file of files) await rm(await this.#staged(file), { force: true });
  }

  /** One staged file for each place: two places may get the same content. */
  async #staged({ path, digest }: StagedFile): Promise<string> {
    const place = createHash('sha256').update(path).digest('hex').slice(0, 16);
    return join(await this.#directory(STAGING), `${hexOf(digest)}-${place}`);
  }

  /** Makes the name of a directory durable, unless it is known to be: an earlier try, or run, may have failed at just that. */
  async #name(directory: string, parent: string, made: boolean): Promise<void> {
    if (!made && this.#named.has(directory)) return;
    this.#named.delete(directory);
    await sync(parent);
    if (this.#named.size >= NAMED_LIMIT) this.#named.clear();
    this.#named.add(directory);
  }

  /** Makes the directories of a relative path one by one; a symbolic link among them is an error. */
  async #directory(path: string): Promise<string> {
    const root = await realpath(this.#root);
    let at = root;
    for (const segment of path === '.' ? [] : path.split('/')) {
      const parent = at;
      at = join(at, segment);
      if (!at.startsWith(root + sep)) throw new Error(`${path} leaves the files directory`);
      const made = await mkdir(at, { mode: DIRECTORY_MODE }).then(
        () => true,
        (error: unknown) => {
          if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
          throw error;
        },
      );
      if (made || (await lstat(at)).isDirectory()) await this.#name(at, parent, made);
      else {
        const text = `${at} is not a directory, so nothing can be delivered below it; remove it`;
        throw new OperationalError('files-symlink', text, { retryable: true });
      }
    }
    return at;
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file durably and resolves to the digest of the bytes that came. At most one byte more than `size` is taken. */
async function write(path: string, bytes: AsyncIterable<Uint8Array>, size: number): Promise<Digest> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await open(path, flags, FILE_MODE);
  const hash = createHash('sha256');
  let seen = 0;
  try {
    for await (const piece of bytes) {
      hash.update(piece);
      seen += piece.length;
      if (seen > size) break;
      await handle.writeFile(piece);
    }
    await handle.sync();
  } catch (error) {
    // What the kernel could not write it does not try again: it must not be found as if it had been.
    await rm(path, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Digest of a regular file; undefined when there is none. */
async function digestOf(path: string): Promise<Digest | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  try {
    if (!(await handle.stat()).isFile()) return undefined;
    const hash = createHash('sha256');
    for await (const piece of handle.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>)
      hash.update(piece);
    return `sha256:${hash.digest('hex')}`;
  } finally {
    await handle.close();
  }
}
