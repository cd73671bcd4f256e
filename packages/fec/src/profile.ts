/** FEC settings of a sender (docs/PROTOCOL.md F-4, F-6). */
export interface FecProfile {
  readonly name: string;
  /** B: most source symbols in a block. */
  readonly maxBlock: number;
  /** m of a full block. */
  readonly repair: number;
  /** r: repair over source symbols for shorter blocks. */
  readonly ratio: number;
}

/** ESIs are below this (max_n, L-5). */
export const MAX_SYMBOLS = 255;

/** @throws Error when B is not 1 to 250, or B + m is beyond 255. */
export function makeProfile({
  name,
  maxBlock,
  repair,
}: {
  name: string;
  maxBlock: number;
  repair: number;
}): FecProfile {
  if (!Number.isInteger(maxBlock) || maxBlock < 1 || maxBlock > 250)
    throw new Error(`B must be 1 to 250, not ${String(maxBlock)}`);
  if (!Number.isInteger(repair) || repair < 0 || maxBlock + repair > MAX_SYMBOLS) {
    throw new Error(`B + m must be at most 255, not ${String(maxBlock + repair)}`);
  }
  return { name, maxBlock, repair, ratio: repair / maxBlock };
}

export const PROFILES = {
  robust: makeProfile({ name: 'robust', maxBlock: 200, repair: 20 }),
  fast: makeProfile({ name: 'fast', maxBlock: 64, repair: 8 }),
} as const;

/** m of a block of k symbols in one pass (F-4). */
export function repairCount(k: number, profile: FecProfile): number {
  if (k === profile.maxBlock) return profile.repair;
  const m = Math.max(Math.ceil(profile.ratio * k), Math.min(k + 2, 8 + Math.floor(k / 16)));
  return Math.min(m, MAX_SYMBOLS - k);
}

/** The k + m ESIs that pass `pass` sends, in order (F-5). */
export function passEsis(pass: number, k: number, m: number): Uint8Array {
  const count = k + m;
  const first = (pass * count) % MAX_SYMBOLS;
  return Uint8Array.from({ length: count }, (_, i) => (first + i) % MAX_SYMBOLS);
}
