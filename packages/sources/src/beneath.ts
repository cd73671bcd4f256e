import { closeSync, constants, fstatSync, lstatSync, opendirSync, openSync, readSync, type Stats } from 'node:fs';
import { type Digest, ok, OperationalError, refuse } from '@sluice/ports';
import type { Refusal, Result } from '@sluice/ports';

// All calls here block: for many small files they take a fraction of what promises take. Whoever must not block runs them in a thread of its own.

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Where bytes lie: a range of a regular file under a root, `path` relative to it with `/` between segments. */
export interface Location {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  /** True when the bytes lie in the root's own archive, at `offset` there; `path` is then only their name. */
  readonly held?: true;
  /** What they hashed to as they came in, where we wrote them ourselves. */
  readonly digest?: Digest;
}

/** Bytes read from disk at a time. */
const READ_BYTES = 1024 * 1024;
/** Directories kept open below the root: as many as are deep. */
const DIRECTORIES_KEPT = 64;
const LIST_BUFFER = 1024;

/**
 * A directory whose content is not trusted. Nothing outside it is ever opened, whatever is renamed or linked while we read: each step goes through
 * the descriptor of the directory above (by /proc/self/fd, since Node has no openat), follows no link, and is judged by fstat after it is open.
 * Refuses links, hard links, devices, fifos and sockets with `special-file`. Directories stay open for the next step, up to a number.
 */
export class Root implements Disposable {
  readonly #top: number;
  /** Descriptor of the archive that holds small members, where there is one. */
  readonly archive: number | undefined;
  readonly #directories = new Map<string, number>();

  private constructor(top: number, archive: number | undefined) {
    this.#top = top;
    this.archive = archive;
  }

  /** Opens `directory`, which may not be a link itself; `archive` is a file of our own that holds small members. */
  static open(directory: string, archive?: string): Result<Root> {
    const opened = openChild(directory, directory, O_DIRECTORY);
    if (!opened.ok) return opened;
    try {
      return ok(new Root(opened.value, archive === undefined ? undefined : openSync(archive, O_RDONLY | O_NOFOLLOW)));
    } catch (error) {
      closeSync(opened.value);
      throw ioError(error, `Opening ${String(archive)}`);
    }
  }

  /** The same root for another thread, by the descriptor of the first, which must stay open. It is not closed. */
  static share(descriptor: number): Root {
    return new Root(descriptor, undefined);
  }

  /** Of the directory itself. */
  get descriptor(): number {
    return this.#top;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  close(): void {
    for (const directory of this.#directories.values()) closeSync(directory);
    this.#directories.clear();
    if (this.archive !== undefined) closeSync(this.archive);
    closeSync(this.#top);
  }

  /** The entries of a directory, sorted by name, at most `limit` and one more. `''` is the root. */
  list(path: string, limit: number): Result<readonly string[]> {
    const directory = this.#directory(path);
    if (!directory.ok) return directory;
    // A name that is not UTF-8 comes with U+FFFD for each wrong byte and then cannot be found, which refuses it.
    const names: string[] = [];
    const entries = opendirSync(procPath(directory.value), { bufferSize: LIST_BUFFER });
    try {
      for (let entry = entries.readSync(); entry !== null && names.length <= limit; entry = entries.readSync())
        names.push(entry.name);
    } finally {
      entries.closeSync();
    }
    return ok(names.sort());
  }

  /** What `path` is: a directory, or a regular file and its size. */
  stat(path: string): Result<{ readonly type: 'directory' } | { readonly type: 'file'; readonly size: number }> {
    const place = this.place(path);
    if (!place.ok) return place;
    try {
      const stats = lstatSync(place.value);
      const kind = specialKind(stats);
      if (kind !== undefined) return specialFile(path, kind);
      return ok(stats.isDirectory() ? { type: 'directory' } : { type: 'file', size: stats.size });
    } catch (error) {
      return openFault(error, path);
    }
  }

  /** Opens a regular file for reading that `stat` has seen as one. The caller closes it. */
  openFile(path: string): Result<OpenFile> {
    const place = this.place(path);
    if (!place.ok) return place;
    const opened = openSeen(place.value, path, 0);
    return opened.ok ? ok(new OpenFile(opened.value)) : opened;
  }

  /** A path for calls of the file system that leads to this entry by the descriptor of its directory. Good until the next call of this root. */
  place(path: string): Result<string> {
    const slash = path.lastIndexOf('/');
    const directory = this.#directory(slash < 0 ? '' : path.slice(0, slash));
    return directory.ok ? ok(`${procPath(directory.value)}/${path.slice(slash + 1)}`) : directory;
  }

  /** The bytes of a location; what is not there any more is simply not given, so the caller counts. Throws RefusedInput when it is no plain file now. */
  *read(location: Location): Generator<Uint8Array> {
    using file = this.#file(location);
    yield* readRange(file.descriptor, location.offset, location.size);
  }

  /** The bytes of a location that is small; fewer when they are not there any more. Throws as `read`. */
  readWhole(location: Location): Uint8Array {
    using file = this.#file(location);
    const bytes = Buffer.allocUnsafe(location.size);
    return bytes.subarray(0, readInto(file.descriptor, bytes, location.offset));
  }

  #file({ path, held }: Location): { readonly descriptor: number } & Disposable {
    if (held === true) {
      if (this.archive === undefined) throw new Error(`${path} is held, and there is no archive`);
      return { descriptor: this.archive, [Symbol.dispose]: () => undefined };
    }
    const opened = this.openFile(path);
    if (!opened.ok) throw new RefusedInput(opened.error);
    return opened.value;
  }

  #directory(path: string): Result<number> {
    if (path === '') return ok(this.#top);
    const known = this.#directories.get(path);
    if (known !== undefined) return ok(known);
    const place = this.place(path);
    if (!place.ok) return place;
    const opened = openChild(place.value, path, O_DIRECTORY);
    if (opened.ok) this.#keep(path, opened.value);
    return opened;
  }

  #keep(path: string, descriptor: number): void {
    for (const [oldest, directory] of this.#directories) {
      if (this.#directories.size < DIRECTORIES_KEPT) break;
      this.#directories.delete(oldest);
      closeSync(directory);
    }
    this.#directories.set(path, descriptor);
  }
}

/** An open file, closed when it is disposed of. */
export class OpenFile implements Disposable {
  readonly descriptor: number;
  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }
  [Symbol.dispose](): void {
    closeSync(this.descriptor);
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
export async function guarded<T>(what: string, work: () => Result<T> | Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RefusedInput) return { ok: false, error: error.refusal };
    throw errnoOf(error) === undefined ? error : ioError(error, what);
  }
}

/** Fills `bytes` from an open file; gives how many were there. */
export function readInto(descriptor: number, bytes: Uint8Array, offset: number): number {
  let done = 0;
  while (done < bytes.length) {
    const got = readSync(descriptor, bytes, done, bytes.length - done, offset + done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Up to `size` bytes of an open file from `offset`, each piece memory of its own. */
export function* readRange(descriptor: number, offset: number, size: number): Generator<Uint8Array> {
  for (let done = 0; done < size;) {
    const buffer = new Uint8Array(Math.min(READ_BYTES, size - done));
    const got = readSync(descriptor, buffer, 0, buffer.length, offset + done);
    if (got === 0) return;
    done += got;
    yield buffer.subarray(0, got);
  }
}

/** The whole of a small source; stops one byte beyond `limit`, so the caller sees that it was too long. */
export function readAll(source: Iterable<Uint8Array>, limit: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for (const piece of source) {
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

const procPath = (descriptor: number): string => `/proc/self/fd/${descriptor}`;

/** Opens a directory with O_DIRECTORY, else a file. Opening a device may do something, so it looks first. */
function openChild(from: string, path: string, flags: number): Result<number> {
  try {
    const seen = specialKind(lstatSync(from));
    if (seen !== undefined) return specialFile(path, seen);
  } catch (error) {
    return openFault(error, path);
  }
  return openSeen(from, path, flags);
}

/** The same for what was looked at before. What is opened is judged again, and O_NONBLOCK does not wait for a fifo's writer. */
function openSeen(from: string, path: string, flags: number): Result<number> {
  let descriptor: number;
  try {
    descriptor = openSync(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | flags);
  } catch (error) {
    return openFault(error, path);
  }
  const stats = fstatSync(descriptor);
  const isOther = flags === O_DIRECTORY ? 'no directory' : 'a directory where a file was';
  const kind = stats.isDirectory() === (flags === O_DIRECTORY) ? specialKind(stats) : isOther;
  if (kind === undefined) return ok(descriptor);
  closeSync(descriptor);
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
