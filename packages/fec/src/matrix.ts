import { EXP, invert, multiply } from './gf256.ts';
import { MAX_SYMBOLS } from './profile.ts';

/**
 * Coefficients of the repair symbols of a block of k: row esi - k, column source symbol, (255 - k) x k.
 * Rizzo's systematic code: V is the 255 x k Vandermonde matrix at the points 0, 1, alpha, alpha^2, ...; the code is
 * V times the inverse of its first k rows.
 */
function build(k: number): Uint8Array {
  const vandermonde = new Uint8Array(MAX_SYMBOLS * k);
  vandermonde[0] = 1;
  for (let row = 1; row < MAX_SYMBOLS; row += 1) {
    for (let column = 0; column < k; column += 1) vandermonde[row * k + column] = EXP[((row - 1) * column) % 255] ?? 0;
  }
  const top = vandermonde.slice(0, k * k);
  if (!invert(top, k)) throw new Error('a Vandermonde matrix with different points is not singular');
  const rows = new Uint8Array((MAX_SYMBOLS - k) * k);
  for (let row = k; row < MAX_SYMBOLS; row += 1) {
    for (let column = 0; column < k; column += 1) {
      let sum = 0;
      for (let i = 0; i < k; i += 1) sum ^= multiply(vandermonde[row * k + i] ?? 0, top[i * k + column] ?? 0);
      rows[(row - k) * k + column] = sum;
    }
  }
  return rows;
}

const cache = new Map<number, Uint8Array>();

/** The k coefficients of the repair symbol `esi` (k to 254) over the source symbols. */
export function coefficients(k: number, esi: number): Uint8Array {
  let rows = cache.get(k);
  if (rows === undefined) {
    rows = build(k);
    cache.set(k, rows);
  }
  return rows.subarray((esi - k) * k, (esi - k + 1) * k);
}
