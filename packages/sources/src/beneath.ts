import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, open, opendir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ok, OperationalError, refuse } from '@sluice/ports';
import type { Refusal, Result } from '@sluice/ports';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Where bytes lie: a range of a regular file under a root, `path` relative to it with `/` between segments. */
export interface Location {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** Bytes read from disk at a time. */
const READ_BYTES = 1024 * 1024;

/**
 * A directory whose content is not trusted. Nothing outside it is ever opened, whatever is renamed or linked while we read: each step goes through
 * the descriptor of the directory above (by /proc/self/fd, since Node has no openat), follows no link, and is judged by fstat after it is open.
 * Refuses links, hard links, devices, fifos and sockets with `special-file`.
 */
export class Root {
  readonly #handle: FileHandle;
  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Opens `directory`, which may not be a link itself. */
  static async open(directory: string): Promise<Result<Root>> {
    const opened = await openChild(directory, directory, O_DIRECTORY);
    return opened.ok ? ok(new Root(opened.value)) : opened;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** The entries of a directory, sorted by name, at most `limit` and one more. `''` is the root. */
  async list(path: string, limit: number): Promise<Result<readonly string[]>> {
    return this.#withDirectory(path, async (handle) => {
      // A name that is not UTF-8 comes with U+FFFD for each wrong byte and then cannot be found, which refuses it.
      const names: string[] = [];
      for await (const entry of await opendir(procPath(handle))) {
        names.push(entry.name);
        if (names.length > limit) break;
      }
      return ok(names.sort());
    });
  }

  /** What `path` is: a directory, or a regular file and its size. */
  async stat(
    path: string,
  ): Promise<Result<{ readonly type: 'directory' } | { readonly type: 'file'; readonly size: number }>> {
    const opened = await this.#open(path, 0);
    if (!opened.ok) return opened;
    await using handle = opened.value;
    const stats = await handle.stat();
    return ok(stats.isDirectory() ? { type: 'directory' } : { type: 'file', size: stats.size });
  }

  /** Opens a regular file for reading. The caller closes it. */
  async openFile(path: string): Promise<Result<FileHandle>> {
    const opened = await this.#open(path, 0);
    if (!opened.ok) return opened;
    const stats = await opened.value.stat();
    if (stats.isFile()) return opened;
    await opened.value.close();
    return specialFile(path, 'a directory where a file was');
  }

  /** The bytes of a location; what is not there any more is simply not given, so the caller counts. Throws RefusedInput when it is no plain file now. */
  async *read(location: Location): AsyncGenerator<Uint8Array> {
    const opened = await this.openFile(location.path);
    if (!opened.ok) throw new RefusedInput(opened.error);
    await using handle = opened.value;
    yield* readRange(handle, location.offset, location.size);
  }

  async #open(path: string, flags: number): Promise<Result<FileHandle>> {
    const slash = path.lastIndexOf('/');
    return this.#withDirectory(slash < 0 ? '' : path.slice(0, slash), (parent) =>
      openChild(`${procPath(parent)}/${path.slice(slash + 1)}`, path, flags),
    );
  }

  async #withDirectory<T>(path: string, use: (handle: FileHandle) => Promise<Result<T>>): Promise<Result<T>> {
    if (path === '') return use(this.#handle);
    const opened = await this.#open(path, O_DIRECTORY);
    if (!opened.ok) return opened;
    await using handle = opened.value;
    return await use(handle);
  }
}

/** Carries a refusal out of a stream, where only throwing is possible. Callers catch it and return the refusal. */
export class RefusedInput extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.name = 'RefusedInput';
    this.refusal = refusal;
  }
}

/** Runs `work` on untrusted files: a RefusedInput becomes its refusal, an error of the file system an OperationalError `source-io`. */
export async function guarded<T>(what: string, work: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RefusedInput) return { ok: false, error: error.refusal };
    throw errnoOf(error) === undefined ? error : ioError(error, what);
  }
}

/** Up to `size` bytes of an open file from `offset`. */
export async function* readRange(handle: FileHandle, offset: number, size: number): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < size;) {
    const buffer = new Uint8Array(Math.min(READ_BYTES, size - done));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset + done);
    if (bytesRead === 0) return;
    done += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The whole of a small source; stops one byte beyond `limit`, so the caller sees that it was too long. */
export async function readAll(source: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    pieces.push(piece.subarray(0, limit + 1 - bytes));
    bytes += piece.length;
    if (bytes > limit) break;
  }
  return Buffer.concat(pieces);
}

/** An error of the file system as our own: `source-io`, retryable. */
export function ioError(error: unknown, what: string): OperationalError {
  const reason = error instanceof Error ? error.message : String(error);
  return new OperationalError('source-io', `${what} failed: ${reason}.`, { retryable: true, cause: error });
}

/** `ENOENT` and the like; undefined for an error that is not of the system. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;

const procPath = (handle: FileHandle): string => `/proc/self/fd/${handle.fd}`;

async function openChild(from: string, path: string, flags: number): Promise<Result<FileHandle>> {
  let handle: FileHandle;
  try {
    // Opening a device may do something, so look first; what is opened is judged again, and O_NONBLOCK does not wait for a fifo's writer.
    const seen = specialKind(await lstat(from));
    if (seen !== undefined) return specialFile(path, seen);
    handle = await open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | flags);
  } catch (error) {
    return openFault(error, path);
  }
  const kind = specialKind(await handle.stat());
  if (kind === undefined) return ok(handle);
  await handle.close();
  return specialFile(path, kind);
}

function openFault(error: unknown, path: string): ReturnType<typeof refuse> {
  switch (errnoOf(error)) {
    case 'ELOOP':
      return specialFile(path, 'a symbolic link');
    case 'ENXIO':
      return specialFile(path, 'a socket or device');
    case 'ENOTDIR':
      return specialFile(path, 'no directory, or a symbolic link');
    case 'ENOENT':
      return specialFile(path, 'gone, or its name is not UTF-8');
    case 'EACCES':
      throw new OperationalError(
        'source-permission',
        `${JSON.stringify(path)} cannot be read by this user; make it readable for the group of the inbox (chmod -R g+rX).`,
        { retryable: false, cause: error },
      );
    default:
      throw ioError(error, `Opening ${JSON.stringify(path)}`);
  }
}

function specialKind(stats: Stats): string | undefined {
  if (stats.isDirectory()) return undefined;
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (!stats.isFile()) return 'a device, fifo or socket';
  return stats.nlink > 1 ? `a hard link (it has ${stats.nlink} names)` : undefined;
}

const specialFile = (path: string, kind: string): ReturnType<typeof refuse> =>
  refuse('special-file', `${JSON.stringify(path)} is ${kind}; only directories and regular files are taken.`);
