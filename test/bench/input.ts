import { createHash, randomBytes } from 'node:crypto';
import { closeSync, copyFileSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { World } from '../world/world.ts';
import { MIB } from './stats.ts';

/** A bundle's content, not yet handed in. */
export interface Input {
  readonly directory: string;
  readonly bytes: number;
  /** Content blobs as hexadecimal SHA-256, each once; by node:crypto, not by the daemons. */
  readonly digests: readonly string[];
}

const PIECE = 4 * MIB;
let pattern: Buffer | undefined;

/** Random bytes, the same throughout a run but for 16 in each piece, so that no two objects share a digest. */
function piece(): Buffer {
  pattern ??= randomBytes(PIECE);
  randomBytes(16).copy(pattern);
  return pattern;
}

/** One object of `bytes` bytes. */
export function makeObject(directory: string, bytes: number): Input {
  mkdirSync(directory, { recursive: true });
  const file = openSync(join(directory, 'payload.bin'), 'w');
  const hash = createHash('sha256');
  for (let done = 0; done < bytes;) {
    const part = piece().subarray(0, Math.min(PIECE, bytes - done));
    for (let at = 0; at < part.length;) at += writeSync(file, part, at, part.length - at);
    hash.update(part);
    done += part.length;
  }
  closeSync(file);
  return { directory, bytes, digests: [hash.digest('hex')] };
}

/** Files in a directory of their own for each thousand. */
export function makeFiles(directory: string, count: number, bytesEach: number): Input {
  const digests: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const below = join(directory, String(Math.floor(i / 1000)));
    if (i % 1000 === 0) mkdirSync(below, { recursive: true });
    const content = randomBytes(bytesEach);
    digests.push(createHash('sha256').update(content).digest('hex'));
    writeFileSync(join(below, String(i % 1000)), content);
  }
  return { directory, bytes: count * bytesEach, digests };
}

/** Puts the signed release beside the content: then the directory is a whole bundle. */
export function addRelease(world: World, input: Input, name: string, repositories: readonly string[] = []): void {
  const release = world.release(name, [input.directory], ['release'], repositories);
  copyFileSync(release, join(input.directory, 'release.dsse.json'));
}

/** Hands the bundle in, as an operator does: by one rename into the inbox. */
export const handIn = (world: World, input: Input, name: string): void => {
  renameSync(input.directory, join(world.dir, 'inbox', name));
};
