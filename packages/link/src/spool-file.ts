import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Direct writes want memory, file position and length at multiples of this. */
const PAGE_BYTES = 4096;
/** Shorter pieces go through the page cache. */
const DIRECT_BYTES = 65_536;

/**
 * One object's file in the spool. Long pieces go past the page cache (O_DIRECT), which costs the processor half as much and
 * never makes the writer wait for memory; where the file system or the memory does not allow it, through the cache.
 */
export class SpoolFile {
  readonly #file: FileHandle;
  #direct: FileHandle | undefined;
  #useless: FileHandle | undefined;

  private constructor(file: FileHandle, direct: FileHandle | undefined) {
    this.#file = file;
    this.#direct = direct;
  }

  static async open(path: string, mode: number): Promise<SpoolFile> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, mode);
    // Not every file system has it (tmpfs before Linux 6.6): then there is the cache.
    const direct = await open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
    return new SpoolFile(file, direct);
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    const head = (PAGE_BYTES - (offset % PAGE_BYTES)) % PAGE_BYTES;
    const body = Math.floor((bytes.length - head) / PAGE_BYTES) * PAGE_BYTES;
    const aligned = (bytes.byteOffset + head) % PAGE_BYTES === 0;
    if (this.#direct === undefined || !aligned || body < DIRECT_BYTES) {
      await writeAll(this.#file, bytes, offset);
      return;
    }
    await Promise.all([
      writeAll(this.#file, bytes.subarray(0, head), offset),
      this.#past(this.#direct, bytes.subarray(head, head + body), offset + head),
      writeAll(this.#file, bytes.subarray(head + body), offset + head + body),
    ]);
  }

  /** What was written is durable on return. */
  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await (this.#direct ?? this.#useless)?.close();
    await this.#file.close();
  }

  async #past(direct: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
    try {
      await writeAll(direct, bytes, offset);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      // The memory lies otherwise than it seems, or the disk has longer blocks.
      // Other pieces may be on their way through it: it is closed with the file.
      this.#useless = direct;
      this.#direct = undefined;
      await writeAll(this.#file, bytes, offset);
    }
  }
}

export async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
