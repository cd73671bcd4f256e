import { createHash, hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { isDigest } from '@sluice/ports';
import type { Digest } from '@sluice/ports';
import type { Location, Root } from './beneath.ts';

/** Read in one piece. */
const SMALL_BYTES = 1024 * 1024;
/** Between so many bytes the thread does what else waits for it. */
const TURN_BYTES = 32 * 1024 * 1024;

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

/** What a source hashes to, with turns for others in between. */
export async function hashInTurns(source: Iterable<Uint8Array>): Promise<Digest> {
  const sum = createHash('sha256');
  for await (const piece of inTurns(source)) sum.update(piece);
  return asDigest(sum.digest('hex'));
}

export function asDigest(hex: string): Digest {
  const digest = `sha256:${hex}`;
  if (!isDigest(digest)) throw new Error('a hash has an unexpected form');
  return digest;
}
