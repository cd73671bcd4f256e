import { createHash, hash } from 'node:crypto';
import { read } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Digest, inOrder, isDigest } from '@sluice/ports';
import type { Location, Root } from './beneath.ts';

/** Read in one piece. */
const SMALL_BYTES = 1024 * 1024;
/** Read at a time, and how many such reads are under way or being hashed. */
const PIECE_BYTES = 1024 * 1024;
const PIECES = 3;
/** Between so many bytes the thread does what else waits for it. */
const TURN_BYTES = 32 * 1024 * 1024;

const readAt = promisify(read);

export const digestOf = (bytes: Uint8Array): Digest => asDigest(hash('sha256', bytes, 'hex'));

export function hashFile(root: Root, file: Location): Digest {
  if (file.size <= SMALL_BYTES) return digestOf(root.readWhole(file));
  const sum = createHash('sha256');
  for (const piece of root.read(file)) sum.update(piece);
  return asDigest(sum.digest('hex'));
}

/** The same pieces, with turns for others in between. */
export async function* inTurns(source: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for (const piece of source) {
    yield piece;
    bytes += piece.length;
    if (bytes < TURN_BYTES) continue;
    bytes = 0;
    await setImmediate();
  }
}

/**
 * What the first `size` bytes of an open file hash to; of a shorter file, what there is. While one piece is hashed the next ones are read, in other
 * threads, so that it takes no longer than the hash does.
 */
export async function hashAhead(descriptor: number, size: number): Promise<Digest> {
  const sum = createHash('sha256');
  const buffers = Array.from({ length: PIECES }, () => Buffer.allocUnsafeSlow(PIECE_BYTES));
  const read = (index: number): Promise<Uint8Array> => {
    const offset = index * PIECE_BYTES;
    const buffer = buffers[index % PIECES]?.subarray(0, size - offset);
    return buffer === undefined ? Promise.resolve(new Uint8Array()) : readPiece(descriptor, buffer, offset);
  };
  for await (const piece of inOrder(Math.ceil(size / PIECE_BYTES), PIECES, read)) sum.update(piece);
  return asDigest(sum.digest('hex'));
}

/** As much of the piece as the file has from `offset` on. */
async function readPiece(descriptor: number, piece: Buffer, offset: number): Promise<Uint8Array> {
  let done = 0;
  while (done < piece.length) {
    const { bytesRead } = await readAt(descriptor, piece, done, piece.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return piece.subarray(0, done);
}

export function asDigest(hex: string): Digest {
  const digest = `sha256:${hex}`;
  if (!isDigest(digest)) throw new Error('a hash has an unexpected form');
  return digest;
}
