import { assertWithin, ENCODING_SYMBOLS_MAX, SOURCE_SYMBOLS_MAX } from './limits.ts';

/** How a sender cuts and protects objects. The receiver needs none of it. */
export interface FecProfile {
  readonly name: string;
  /** B, source symbols of a full block. */
  readonly maxBlock: number;
  /** m, repair symbols of a full block in a pass. */
  readonly repair: number;
  /** r, repair symbols to a source symbol in shorter blocks. */
  readonly ratio: number;
}

/** What `makeProfile` is told: m of a full block, or the ratio r from which it follows. */
export type ProfileOptions = { readonly name: string; readonly maxBlock: number } & (
  { readonly repair: number } | { readonly ratio: number }
);

/** Far below 1/250, the least fraction that r * k can have for a named m, and far above what floating point adds to it. */
const ROUNDING = 1e-9;

/** Makes a profile (docs/PROTOCOL.md F-4): `repair` fixes m for full blocks, `ratio` lets it follow. */
export function makeProfile(options: ProfileOptions): FecProfile {
  const { name, maxBlock } = options;
  assertWithin(`source symbols of a full block in FEC profile ${name}`, maxBlock, 1, SOURCE_SYMBOLS_MAX);
  const most = ENCODING_SYMBOLS_MAX - maxBlock;
  if ('repair' in options) {
    const { repair } = options;
    assertWithin(`repair symbols of a full block in FEC profile ${name}`, repair, 1, most);
    return { name, maxBlock, repair, ratio: repair / maxBlock };
  }
  const { ratio } = options;
  if (!(ratio > 0 && ratio <= ENCODING_SYMBOLS_MAX)) {
    throw new RangeError(`the repair ratio of FEC profile ${name} is ${ratio}, but must be greater than 0`);
  }
  return { name, maxBlock, repair: repairAtRatio(maxBlock, ratio), ratio };
}

/** m(k) = max(ceil(r * k), min(k + 2, 8 + floor(k / 16))): small blocks need more than a percentage. */
function repairAtRatio(k: number, ratio: number): number {
  const proportional = Math.ceil(ratio * k - ROUNDING);
  const least = Math.min(k + 2, 8 + Math.floor(k / 16));
  return Math.min(Math.max(proportional, least), ENCODING_SYMBOLS_MAX - k);
}

/** The profiles that have a name (F-6). */
export const PROFILES = {
  robust: makeProfile({ name: 'robust', maxBlock: 200, repair: 20 }),
  fast: makeProfile({ name: 'fast', maxBlock: 64, repair: 8 }),
} as const;

/** m, the repair symbols that a pass sends of a block of k source symbols (F-4). */
export function repairCount(k: number, profile: FecProfile): number {
  assertWithin('source symbols of a block', k, 1, profile.maxBlock);
  return k === profile.maxBlock ? profile.repair : repairAtRatio(k, profile.ratio);
}

/**
 * The ESIs that top-up pass `pass` sends of a block: the m repair symbols that follow those of the pass before, around the
 * 255 - k that there are (F-7).
 */
export function topUpEsis(pass: number, k: number, m: number): Uint8Array {
  assertWithin('pass', pass, 0, Number.MAX_SAFE_INTEGER);
  assertWithin('source symbols of a block', k, 1, ENCODING_SYMBOLS_MAX - 1);
  assertWithin('repair symbols of a block', m, 0, ENCODING_SYMBOLS_MAX - k);
  const repair = ENCODING_SYMBOLS_MAX - k;
  const start = (pass % repair) * m;
  return Uint8Array.from({ length: m }, (_, i) => k + ((start + i) % repair));
}

/** The ESIs that pass `pass` sends of a block, in order: k + m consecutive ones modulo 255 from pass * (k + m) (F-5). */
export function passEsis(pass: number, k: number, m: number): Uint8Array {
  assertWithin('pass', pass, 0, Number.MAX_SAFE_INTEGER);
  assertWithin('source symbols of a block', k, 1, ENCODING_SYMBOLS_MAX);
  assertWithin('repair symbols of a block', m, 0, ENCODING_SYMBOLS_MAX - k);
  const start = (pass % ENCODING_SYMBOLS_MAX) * (k + m);
  return Uint8Array.from({ length: k + m }, (_, i) => (start + i) % ENCODING_SYMBOLS_MAX);
}
