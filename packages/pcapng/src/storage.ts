// Where chunk logs lie: a directory, behind an interface so that a full or failing disk can be tested.
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface LogFileHandle {
  /** Writes all bytes at the position. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** Throws the system's errors (with `code`). */
export interface LogStorage {
  /** A new file; throws EEXIST when there is one. */
  create(name: string): Promise<LogFileHandle>;
  list(): Promise<readonly { readonly name: string; readonly bytes: number }[]>;
  remove(name: string): Promise<void>;
}

/** True for an error of the system: it has a code such as ENOSPC. */
export const isSystemError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string';

async function create(path: string): Promise<LogFileHandle> {
  const handle = await open(path, 'wx', 0o640);
  return {
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    },
    truncate: (bytes) => handle.truncate(bytes),
    close: () => handle.close(),
  };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    // Someone took it away meanwhile: it counts nothing.
    if (isSystemError(error) && error.code === 'ENOENT') return 0;
    throw error;
  }
}

/** Chunk logs in a directory that exists. */
export function directoryStorage(directory: string): LogStorage {
  return {
    create: (name) => create(join(directory, name)),
    list: async () => {
      const names = await readdir(directory);
      return Promise.all(names.map(async (name) => ({ name, bytes: await sizeOf(join(directory, name)) })));
    },
    remove: (name) => unlink(join(directory, name)),
  };
}
