import { mkdir, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { ok, OperationalError, refuse } from '@sluice/ports';
import type { BundleCode, Result } from '@sluice/ports';
import { pathFault } from '@sluice/bundle';
import { errnoOf, ioError } from './beneath.ts';
import type { ScanLimits } from './scan.ts';

/**
 * Writes files and directories with names from outside into a fresh directory of our own. Nothing is overwritten or followed. Refuses with
 * `path-outside-root`, `bundle-too-large`, and with `clash` where a name is there twice or is both file and directory.
 */
export class TreeWriter {
  readonly #directory: string;
  readonly #limits: ScanLimits;
  readonly #clash: BundleCode;
  readonly #made = new Set<string>();
  #entries = 0;
  #bytes = 0;

  private constructor(directory: string, limits: ScanLimits, clash: BundleCode) {
    this.#directory = directory;
    this.#limits = limits;
    this.#clash = clash;
  }

  /** `directory` must not exist. */
  static async create(directory: string, limits: ScanLimits, clash: BundleCode): Promise<TreeWriter> {
    try {
      await mkdir(directory, { mode: 0o700 });
    } catch (error) {
      throw ioError(error, `Making ${directory}`);
    }
    return new TreeWriter(directory, limits, clash);
  }

  /** Makes a directory and those above it; one that is there already is fine. */
  async directory(path: string): Promise<Result<void>> {
    const fault = this.#fault(path);
    if (fault !== undefined) return fault;
    const segments = path.split('/');
    for (let depth = 1; depth <= segments.length; depth++) {
      const step = segments.slice(0, depth).join('/');
      if (this.#made.has(step)) continue;
      const counted = this.#count();
      if (!counted.ok) return counted;
      try {
        await mkdir(join(this.#directory, step), { mode: 0o700 });
      } catch (error) {
        return this.#worldOr(error, path);
      }
      this.#made.add(step);
    }
    return ok(undefined);
  }

  /** Makes a file of `size` bytes and those directories above it that are missing. The caller writes and closes it. */
  async file(path: string, size: number): Promise<Result<FileHandle>> {
    const fault = this.#fault(path);
    if (fault !== undefined) return fault;
    const slash = path.lastIndexOf('/');
    const above = slash < 0 ? ok(undefined) : await this.directory(path.slice(0, slash));
    if (!above.ok) return above;
    const counted = this.#count(size);
    if (!counted.ok) return counted;
    try {
      return ok(await open(join(this.#directory, path), 'wx', 0o600));
    } catch (error) {
      return this.#worldOr(error, path);
    }
  }

  #fault(path: string): ReturnType<typeof refuse> | undefined {
    const fault = pathFault(path);
    if (fault !== undefined)
      return refuse(
        'path-outside-root',
        `The name ${JSON.stringify(path.slice(0, 200))} ${fault}; it cannot be taken.`,
      );
    if (path.split('/').length <= this.#limits.depth) return undefined;
    return refuse('bundle-too-large', `The bundle is nested more than ${this.#limits.depth} directories deep.`);
  }

  #count(bytes = 0): Result<void> {
    this.#entries += 1;
    this.#bytes += bytes;
    if (this.#entries > this.#limits.entries)
      return refuse('bundle-too-large', `The bundle has more than ${this.#limits.entries} entries.`);
    if (this.#bytes > this.#limits.bytes)
      return refuse('bundle-too-large', `The bundle has more than ${this.#limits.bytes} bytes.`);
    return ok(undefined);
  }

  #worldOr(error: unknown, path: string): ReturnType<typeof refuse> {
    const shown = JSON.stringify(path);
    switch (errnoOf(error)) {
      case 'EEXIST':
      case 'ENOTDIR':
      case 'EISDIR':
        return refuse(this.#clash, `The name ${shown} is there twice, or as file and as directory.`);
      case 'ENAMETOOLONG':
        return refuse('path-outside-root', `The name ${shown} is too long for the file system.`);
      default:
        throw writeFault(error, shown);
    }
  }
}

/** Writes all of `bytes` at the end of what was written. */
export async function append(handle: FileHandle, bytes: Uint8Array, path: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length;) done += (await handle.write(bytes, done)).bytesWritten;
  } catch (error) {
    throw writeFault(error, JSON.stringify(path));
  }
}

function writeFault(error: unknown, shown: string): OperationalError {
  if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') return ioError(error, `Writing ${shown}`);
  return new OperationalError(
    'work-full',
    `${shown} does not fit on the disk of the work directory; free some space.`,
    {
      retryable: true,
      cause: error,
    },
  );
}
