// In the place of `node:fs/promises` for the code that runs in a world: each call takes time, and may be the last.
import { waiting } from '../mounts.ts';
import {
  contentOf,
  type Entry,
  fileOf,
  type Handle,
  listDirectory,
  makeDirectory,
  openNode,
  readAt,
  removeNode,
  type RemoveOptions,
  renameNode,
  type StatOptions,
  type Stats,
  statNode,
  statPath,
  syncNode,
  writeAt,
  writeContent,
} from './calls.ts';

// What nobody in a world calls is only there to be named.
export * from 'node:fs/promises';

const PIECE = 65_536;

/** What `open` resolves to. */
class FileHandle {
  readonly #handle: Handle;

  constructor(handle: Handle) {
    this.#handle = handle;
  }

  write(
    bytes: Uint8Array,
    offset = 0,
    length = bytes.length - offset,
    position?: number | null,
  ): Promise<{ readonly bytesWritten: number }> {
    return waiting(this.#handle.path, () => ({
      bytesWritten: writeAt(this.#handle, bytes.subarray(offset, offset + length), position),
    }));
  }

  read(
    into: Uint8Array,
    offset = 0,
    length = into.length - offset,
    position?: number | null,
  ): Promise<{ readonly bytesRead: number }> {
    return waiting(this.#handle.path, () => ({
      bytesRead: readAt(this.#handle, into.subarray(offset, offset + length), position),
    }));
  }

  writeFile(content: Uint8Array | string): Promise<void> {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    return waiting(this.#handle.path, () => {
      for (let done = 0; done < bytes.length;) done += writeAt(this.#handle, bytes.subarray(done), undefined);
    });
  }

  readFile(): Promise<Buffer> {
    return waiting(this.#handle.path, () => contentOf(this.#handle.path));
  }

  async *createReadStream(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const left = fileOf(this.#handle, 'read').bytes.length - this.#handle.position;
      const piece = new Uint8Array(Math.max(1, Math.min(PIECE, left)));
      const { bytesRead } = await this.read(piece);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  }

  stat(options?: StatOptions): Promise<Stats> {
    return waiting(this.#handle.path, () => statNode(this.#handle.node, this.#handle.path, options));
  }

  sync(): Promise<void> {
    return waiting(this.#handle.path, () => syncNode(this.#handle), true);
  }

  datasync(): Promise<void> {
    return this.sync();
  }

  close(): Promise<void> {
    return waiting(this.#handle.path, () => {
      this.#handle.closed = true;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export const open = (path: string, flags?: string | number, _mode?: number): Promise<FileHandle> =>
  waiting(path, () => new FileHandle(openNode(path, flags)));
export const rename = (from: string, to: string): Promise<void> => waiting(to, () => renameNode(from, to));
export const rm = (path: string, options?: RemoveOptions): Promise<void> =>
  waiting(path, () => removeNode(path, options));
export const unlink = (path: string): Promise<void> => waiting(path, () => removeNode(path));
export const mkdir = (path: string, options?: { readonly recursive?: boolean }): Promise<void> =>
  waiting(path, () => makeDirectory(path, options));
export const readdir = (path: string, options?: { readonly withFileTypes?: boolean }): Promise<Entry[] | string[]> =>
  waiting(path, () => listDirectory(path, options));
export const stat = (path: string, options?: StatOptions): Promise<Stats | undefined> =>
  waiting(path, () => statPath(path, options));
export const lstat = stat;
export const realpath = (path: string): Promise<string> => waiting(path, () => path);
export const readFile = (path: string): Promise<Buffer> => waiting(path, () => contentOf(path));
export const writeFile = (path: string, content: Uint8Array | string): Promise<void> =>
  waiting(path, () => writeContent(path, content));

export async function opendir(path: string): Promise<AsyncIterable<Entry>> {
  const entries = (await readdir(path, { withFileTypes: true })) as Entry[];
  return (async function* () {
    for (const entry of entries) yield await Promise.resolve(entry);
  })();
}
