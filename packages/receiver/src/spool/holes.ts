import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlockRange, rangesOf } from '@sluice/bundle';
import { partition } from '@sluice/fec';
import type { Digest } from '@sluice/ports';

/** Which blocks of an object lack, numbered by how it was cut. */
export interface Holes {
  readonly symbolBytes: number;
  readonly maxBlock: number;
  readonly blocks: readonly BlockRange[];
}

/** A part in the spool, as `sluice link` names it: HEX-SIZE-E-B.KIND.part, its map of synced blocks beside it. */
const PART = /^([0-9a-f]{64})-([1-9]\d{0,12})-([1-9]\d{0,3})-([1-9]\d{0,2})\.(?:statement|pack|blob)\.part$/;
/** Largest map: a bit for each of 2^24 blocks. */
const MAP_BYTES = 2 ** 21;

/**
 * What link has of objects that are not whole, read from the maps in its spool: what a crash would leave. Objects of which
 * it has nothing are left out. Of one that was begun in two shapes, the one with less to come counts.
 */
export async function holesIn(
  spoolDirectory: string,
  channel: string,
  wanted: ReadonlySet<Digest>,
): Promise<ReadonlyMap<Digest, Holes>> {
  const directory = join(spoolDirectory, channel);
  const found = new Map<Digest, Holes>();
  for (const name of await readdir(directory).catch(none)) {
    const [, hex = '', size, symbol, block] = PART.exec(name) ?? [];
    const digest: Digest = `sha256:${hex}`;
    if (!wanted.has(digest)) continue;
    const holes = await holesOf(join(directory, name.replace(/part$/, 'map')), {
      ...{ size: Number(size), symbolBytes: Number(symbol), maxBlock: Number(block) },
    });
    const before = found.get(digest);
    if (holes !== undefined && (before === undefined || blocksIn(holes) < blocksIn(before))) found.set(digest, holes);
  }
  return found;
}

/** Blocks that lack. */
export const blocksIn = ({ blocks }: Pick<Holes, 'blocks'>): number =>
  blocks.reduce((sum, [first, last]) => sum + last - first + 1, 0);

async function holesOf(
  map: string,
  { size, symbolBytes, maxBlock }: { readonly size: number; readonly symbolBytes: number; readonly maxBlock: number },
): Promise<Holes | undefined> {
  const stat = await lstat(map).catch(() => undefined);
  if (stat?.isFile() !== true || stat.size > MAP_BYTES) return undefined;
  const bits = await readFile(map).catch(() => undefined);
  if (bits === undefined) return undefined;
  const { blocks: count } = partition(size, symbolBytes, maxBlock);
  const lacking = function* (): Generator<number> {
    for (let sbn = 0; sbn < count; sbn += 1) if (((bits[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) === 0) yield sbn;
  };
  const blocks = rangesOf(lacking());
  // With no block on disk it lacks whole.
  return blocksIn({ blocks }) === count ? undefined : { symbolBytes, maxBlock, blocks };
}

function none(error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
  throw error;
}
