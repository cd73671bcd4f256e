import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** A small file system of its own (ext4 on a loop device), which can be filled. Needs root. */
export class SmallDisk implements Disposable {
  readonly path: string;
  readonly #image: string;

  /** Makes and mounts it at `path`. */
  constructor(path: string, bytes: number) {
    this.path = path;
    this.#image = `${path}.ext4`;
    mkdirSync(path, { recursive: true });
    writeFileSync(this.#image, '');
    truncateSync(this.#image, bytes);
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', this.#image]);
    execFileSync('mount', ['-o', 'loop', this.#image, path]);
  }

  /** Leaves so many bytes free. */
  fill(leave: number): void {
    const { bavail, bsize } = statfsSync(this.path);
    const bytes = Math.max(0, bavail * bsize - leave);
    execFileSync('fallocate', ['-l', String(Math.floor(bytes / bsize) * bsize), join(this.path, 'ballast')]);
  }

  /** Makes the room free again. */
  empty(): void {
    rmSync(join(this.path, 'ballast'), { force: true });
  }

  [Symbol.dispose](): void {
    // Whoever is still in it must not hold the rig up.
    execFileSync('umount', ['-l', this.path]);
    rmSync(this.#image, { force: true });
  }
}

/** Turns one bit over in a file, as a dying disk would: nobody is told. */
export function flipBit(path: string, offset: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}

/** What a daemon is told of its disk by `io-faults.c`: EIO in reading, writing or syncing what lies below a path. */
export class IoFaults {
  readonly #control: string;
  readonly #library: string;

  constructor(dir: string) {
    this.#control = join(dir, 'io-faults.control');
    this.#library = join(dir, 'io-faults.so');
    writeFileSync(this.#control, Buffer.alloc(4096));
    const source = join(import.meta.dirname, 'io-faults.c');
    execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', this.#library, source, '-ldl']);
  }

  get variables(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, SLUICE_CHAOS_IO: this.#control };
  }

  /** From now on these calls fail below `path`. */
  fail(path: string, calls: { readonly read?: boolean; readonly write?: boolean; readonly sync?: boolean }): void {
    this.#tell(Number(calls.read === true) + 2 * Number(calls.write === true) + 4 * Number(calls.sync === true), path);
  }

  /** The disk is well again. */
  mend(): void {
    this.#tell(0, '');
  }

  /** How often a call failed so far. */
  get failures(): number {
    const file = openSync(this.#control, 'r');
    const count = Buffer.alloc(4);
    readSync(file, count, 0, 4, 4);
    closeSync(file);
    return count.readUInt32LE();
  }

  #tell(calls: number, path: string): void {
    const file = openSync(this.#control, 'r+');
    // Off while the path is written, which is no single step.
    writeSync(file, Buffer.alloc(4), 0, 4, 0);
    writeSync(file, Buffer.from(`${path}\0`), 0, undefined, 8);
    const word = Buffer.alloc(4);
    word.writeUInt32LE(calls);
    writeSync(file, word, 0, 4, 0);
    closeSync(file);
  }
}
