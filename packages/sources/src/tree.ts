import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { ok, OperationalError, refuse } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { pathFault } from '@sluice/bundle';
import { errnoOf, ioError } from './beneath.ts';
import type { ScanLimits } from './scan.ts';

/**
 * Makes files and directories with names from outside in a fresh directory of our own. Nothing is overwritten or followed. Refuses with
 * `path-outside-root`, `bundle-too-large`, and with `tar-malformed` where a name is there twice or is both file and directory.
 */
export class TreeWriter {
  readonly #directory: string;
  readonly #limits: ScanLimits;
  readonly #files = new Set<string>();
  readonly #directories = new Set<string>(['']);
  /** Directories that are there in the file system. */
  readonly #made = new Set<string>(['']);
  #entries = 0;
  #bytes = 0;

  private constructor(directory: string, limits: ScanLimits) {
    this.#directory = directory;
    this.#limits = limits;
  }

  /** `directory` must not exist. */
  static create(directory: string, limits: ScanLimits): TreeWriter {
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      throw ioError(error, `Making ${directory}`);
    }
    return new TreeWriter(directory, limits);
  }

  /** Counts a directory and those above it; one that is there already is fine. */
  directory(path: string): Result<undefined> {
    return this.#fault(path) ?? this.#within(path);
  }

  /** Counts a file of `size` bytes that is kept elsewhere, and those directories above it that are new. */
  name(path: string, size: number): Result<undefined> {
    const fault = this.#fault(path);
    if (fault !== undefined) return fault;
    const above = this.#within(parentOf(path));
    if (!above.ok) return above;
    if (this.#files.has(path) || this.#directories.has(path)) return this.#twice(path);
    this.#files.add(path);
    return this.#count(size);
  }

  /** Makes a file of `size` bytes and those directories above it that are missing; gives its descriptor, which the caller closes. */
  file(path: string, size: number): Result<number> {
    const named = this.name(path, size);
    if (!named.ok) return named;
    try {
      this.#make(parentOf(path));
      return ok(openSync(join(this.#directory, path), 'wx', 0o600));
    } catch (error) {
      if (errnoOf(error) !== 'ENAMETOOLONG') throw writeFault(error, path);
      return refuse('path-outside-root', `The name ${JSON.stringify(path)} is too long for the file system.`);
    }
  }

  #fault(path: string): Result<never> | undefined {
    const fault = pathFault(path);
    if (fault !== undefined)
      return refuse(
        'path-outside-root',
        `The name ${JSON.stringify(path.slice(0, 200))} ${fault}; it cannot be taken.`,
      );
    if (path.split('/').length <= this.#limits.depth) return undefined;
    return refuse('bundle-too-large', `The bundle is nested more than ${this.#limits.depth} directories deep.`);
  }

  #within(path: string): Result<undefined> {
    if (this.#directories.has(path)) return ok(undefined);
    const above = this.#within(parentOf(path));
    if (!above.ok) return above;
    if (this.#files.has(path)) return this.#twice(path);
    this.#directories.add(path);
    return this.#count();
  }

  #make(path: string): void {
    if (this.#made.has(path)) return;
    this.#make(parentOf(path));
    mkdirSync(join(this.#directory, path), { mode: 0o700 });
    this.#made.add(path);
  }

  #count(bytes = 0): Result<undefined> {
    this.#entries += 1;
    this.#bytes += bytes;
    if (this.#entries > this.#limits.entries)
      return refuse('bundle-too-large', `The bundle has more than ${this.#limits.entries} entries.`);
    if (this.#bytes > this.#limits.bytes)
      return refuse('bundle-too-large', `The bundle has more than ${this.#limits.bytes} bytes.`);
    return ok(undefined);
  }

  #twice(path: string): Result<never> {
    return refuse('tar-malformed', `The name ${JSON.stringify(path)} is there twice, or as file and as directory.`);
  }
}

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** An error of writing as our own: `work-full`, or `source-io`. */
export function writeFault(error: unknown, path: string): unknown {
  const shown = JSON.stringify(path);
  const code = errnoOf(error);
  if (code === undefined) return error;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return ioError(error, `Writing ${shown}`);
  return new OperationalError(
    'work-full',
    `${shown} does not fit on the disk of the work directory; free some space.`,
    { retryable: true, cause: error },
  );
}
