import { type BigIntStats, closeSync, constants, fstatSync, openSync } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import type { Logger } from '@sluice/base';
import { hexOf } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';

/**
 * True when the path is what an object of this channel, digest and size has in a spool while it grows (`part`) or when it
 * is whole; else it is logged. Link parses what strangers send: were it taken over, its word must not be enough to have
 * another file opened, copied or moved.
 */
export function liesInSpool(object: SpooledObject, state: 'part' | 'whole', logger: Logger): boolean {
  const { channel, digest, path } = object;
  if (isSpoolPath(object, state)) return true;
  logger.error({ channel, object: digest, path }, 'link names a file that is none of its spool');
  return false;
}

export function isSpoolPath({ channel, key, digest, size, path }: SpooledObject, state: 'part' | 'whole'): boolean {
  const [directory, name] = path.split('/').slice(-2);
  if (directory !== channel || !path.startsWith('/')) return false;
  const shape = /^([0-9a-f]{64})-(\d{1,13})-\d{1,4}-\d{1,3}$/.exec(key);
  if (shape?.[1] !== hexOf(digest) || Number(shape[2]) !== size) return false;
  return ['statement', 'pack', 'blob'].some((kind) => name === `${key}.${kind}.${state}`);
}

/** Opens a file of the spool: no link in its place is followed, no pipe waited for. */
export async function openSpooled(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw Object.assign(new Error(`${path} is no regular file`), { code: 'ENOTSUP' });
}

/** As `openSpooled`, with a call that blocks. */
export function openSpooledSync(path: string): number {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw Object.assign(new Error(`${path} is no regular file`), { code: 'ENOTSUP' });
}

/** Tells a file that was written to or exchanged from the one it was. */
export const stampOf = ({ dev, ino, size, mtimeNs }: BigIntStats): string => [dev, ino, size, mtimeNs].join(' ');

/** The stamp of what lies at a path; undefined when nothing does. */
export async function stampAt(path: string): Promise<string | undefined> {
  try {
    return stampOf(await lstat(path, { bigint: true }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** `size` bytes of a file of the spool, from `offset`; fewer when it is shorter. */
export async function readSpooledPart(path: string, offset: number, size: number): Promise<Uint8Array> {
  await using file = await openSpooled(path);
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await file.read(bytes, done, size - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** The bytes of a file of the spool. */
export async function readSpooled(path: string): Promise<Uint8Array> {
  await using file = await openSpooled(path);
  return await file.readFile();
}
