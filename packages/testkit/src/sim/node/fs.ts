// In the place of `node:fs` for the code that runs in a world: calls that block, on the simulated disks.
import { systemError } from '../disk.ts';
import { blocking, mounts, waiting } from '../mounts.ts';
import { kernel } from '../kernel.ts';
import {
  contentOf,
  type Handle,
  listDirectory,
  makeDirectory,
  openNode,
  readAt,
  removeNode,
  type RemoveOptions,
  renameNode,
  type StatOptions,
  statNode,
  statPath,
  syncNode,
  writeAt,
  writeContent,
} from './calls.ts';

// What nobody in a world calls is only there to be named.
export * from 'node:fs';

/** Open descriptors of a world: they go with it. */
const tables = new WeakMap<object, Map<number, Handle>>();
const FIRST = 100;

function table(): Map<number, Handle> {
  const known = tables.get(kernel());
  if (known !== undefined) return known;
  const made = new Map<number, Handle>();
  tables.set(kernel(), made);
  return made;
}

function handleOf(descriptor: number, syscall: string): Handle {
  const handle = table().get(descriptor);
  if (handle === undefined) throw systemError('EBADF', syscall);
  return handle;
}

export function openSync(path: string, flags?: string | number, _mode?: number): number {
  return blocking(path, () => {
    const descriptors = table();
    const descriptor = FIRST + descriptors.size;
    descriptors.set(descriptor, openNode(path, flags));
    return descriptor;
  });
}

export function closeSync(descriptor: number): void {
  handleOf(descriptor, 'close').closed = true;
}

interface Range {
  readonly offset?: number;
  readonly length?: number;
  readonly position?: number | null;
}

/** Both forms of the call: numbers in a row, or one object. */
function rangeOf(
  bytes: Uint8Array,
  first: number | Range | undefined,
  length?: number,
  position?: number | null,
): Range {
  const range = typeof first === 'object' ? first : { offset: first ?? 0, length, position };
  const offset = range.offset ?? 0;
  return { offset, length: range.length ?? bytes.length - offset, position: range.position ?? null };
}

export function writeSync(
  descriptor: number,
  data: Uint8Array | string,
  first?: number | Range,
  length?: number,
  position?: number | null,
): number {
  const handle = handleOf(descriptor, 'write');
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  const { offset = 0, length: wanted = 0, position: at } = rangeOf(bytes, first, length, position);
  return blocking(handle.path, () => writeAt(handle, bytes.subarray(offset, offset + wanted), at));
}

export function readSync(
  descriptor: number,
  into: Uint8Array,
  first?: number | Range,
  length?: number,
  position?: number | null,
): number {
  const handle = handleOf(descriptor, 'read');
  const { offset = 0, length: wanted = 0, position: at } = rangeOf(into, first, length, position);
  return blocking(handle.path, () => readAt(handle, into.subarray(offset, offset + wanted), at));
}

export function read(
  descriptor: number,
  into: Uint8Array,
  offset: number,
  length: number,
  position: number,
  done: (error: Error | null, bytesRead: number) => void,
): void {
  const handle = handleOf(descriptor, 'read');
  waiting(handle.path, () => readAt(handle, into.subarray(offset, offset + length), position)).then(
    (got) => {
      done(null, got);
    },
    (error: unknown) => {
      done(error as Error, 0);
    },
  );
}

export const fsyncSync = (descriptor: number): void => {
  const handle = handleOf(descriptor, 'fsync');
  blocking(handle.path, () => syncNode(handle));
};
export const fdatasyncSync = fsyncSync;

type Done = (error: Error | null) => void;

export function fsync(descriptor: number, done: Done): void {
  try {
    fsyncSync(descriptor);
    done(null);
  } catch (error) {
    done(error as Error);
  }
}
export const fdatasync = fsync;

export const fstatSync = (descriptor: number, options?: StatOptions): unknown => {
  const { node, path } = handleOf(descriptor, 'fstat');
  return statNode(node, path, options);
};
export const statSync = (path: string, options?: StatOptions): unknown => blocking(path, () => statPath(path, options));
export const lstatSync = statSync;
export const existsSync = (path: string): boolean => statPath(path, { throwIfNoEntry: false }) !== undefined;
export const renameSync = (from: string, to: string): void => blocking(to, () => renameNode(from, to));
export const rmSync = (path: string, options?: RemoveOptions): void => blocking(path, () => removeNode(path, options));
export const unlinkSync = (path: string): void => blocking(path, () => removeNode(path));
export const mkdirSync = (path: string, options?: { readonly recursive?: boolean }): void =>
  blocking(path, () => makeDirectory(path, options));
export const readdirSync = (path: string, options?: { readonly withFileTypes?: boolean }): unknown =>
  blocking(path, () => listDirectory(path, options));
export const writeFileSync = (path: string, content: Uint8Array | string): void =>
  blocking(path, () => writeContent(path, content));
export function readFileSync(path: string, encoding?: string): Buffer | string {
  const bytes = blocking(path, () => contentOf(path));
  return encoding === undefined ? bytes : bytes.toString('utf8');
}

const BLOCK = 4096;
/** Blocks of a disk whose size nothing limits. */
const MANY = 2 ** 28;

export function statfsSync(path: string): { readonly bsize: number; readonly blocks: number; readonly bavail: number } {
  const { disk } = mounts().place(path);
  const blocks = Math.min(MANY, Math.ceil(disk.faults.capacity / BLOCK));
  return { bsize: BLOCK, blocks, bavail: Math.max(0, blocks - Math.ceil(disk.used / BLOCK)) };
}
