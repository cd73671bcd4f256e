// The code: a block's k source symbols are the values, at the points of ESI 0 to k - 1, of a polynomial of degree below k
// (one for each byte position); the symbol of any ESI is that polynomial's value at the ESI's point. So each symbol follows
// from any k others by Lagrange's formula, without a matrix to invert. It is the same code as the systematic form of the
// Vandermonde matrix at these points.
import { exp, log } from './gf256.ts';
import { ENCODING_SYMBOLS_MAX } from './limits.ts';

/** Rizzo's points 0, 1, alpha, alpha^2, ... (docs/PROTOCOL.md F-2). */
const POINTS = Uint8Array.from({ length: ENCODING_SYMBOLS_MAX }, (_, esi) => (esi === 0 ? 0 : exp(esi - 1)));
const LOG_DISTANCE = makeLogDistances();

/** log(point(a) - point(b)) at a * 255 + b, and 0 for a = b: a sum of logarithms passes over that factor. */
function makeLogDistances(): Uint8Array {
  const table = new Uint8Array(ENCODING_SYMBOLS_MAX * ENCODING_SYMBOLS_MAX);
  POINTS.forEach((a, i) => POINTS.forEach((b, j) => (table[i * ENCODING_SYMBOLS_MAX + j] = log(a ^ b))));
  return table;
}

const logDistance = (a: number, b: number): number => LOG_DISTANCE[a * ENCODING_SYMBOLS_MAX + b] ?? 0;

/** At k * 255 + e: the log of the product, over the source points s of a block of k other than e's own, of (point(e) - s). */
const LOG_PRODUCTS = makeLogProducts();

function makeLogProducts(): Uint16Array {
  const table = new Uint16Array(ENCODING_SYMBOLS_MAX * ENCODING_SYMBOLS_MAX);
  for (let at = ENCODING_SYMBOLS_MAX; at < table.length; at += 1) {
    const [k, esi] = [Math.floor(at / ENCODING_SYMBOLS_MAX), at % ENCODING_SYMBOLS_MAX];
    table[at] = (table[at - ENCODING_SYMBOLS_MAX] ?? 0) + logDistance(esi, k - 1);
  }
  return table;
}

const logProduct = (k: number, esi: number): number => LOG_PRODUCTS[k * ENCODING_SYMBOLS_MAX + esi] ?? 0;

/** The k coefficients by which the source symbols of a block make the repair symbol `esi`. */
export function repairRow(k: number, esi: number): Uint8Array {
  const row = new Uint8Array(k);
  const numerator = logProduct(k, esi);
  for (let j = 0; j < k; j += 1) row[j] = exp(numerator - logDistance(esi, j) - logProduct(k, j));
  return row;
}

/**
 * For each slot in `missing`, the coefficients by which the symbols of `esis` make the source symbol of that slot.
 * @param esis what the slots of a block of k = esis.length hold: k different ESIs, each source symbol in its own slot
 * @param missing the slots that hold repair symbols, ascending
 */
export function recoveryRows(esis: Uint8Array, missing: readonly number[]): Uint8Array[] {
  const k = esis.length;
  // The polynomial whose roots are the points held is that of the source points, with the repair points held put in
  // and the missing source points taken out. So its products differ from LOG_PRODUCTS in 2 * missing.length factors.
  const repair = missing.map((slot) => esis[slot] ?? 0);
  const logProductHeld = (esi: number): number => {
    let sum = logProduct(k, esi);
    for (const held of repair) sum += logDistance(esi, held);
    for (const gone of missing) sum -= logDistance(esi, gone);
    return sum;
  };
  const logDenominators = Int32Array.from(esis, logProductHeld);
  return missing.map((wanted) => {
    const numerator = logProductHeld(wanted);
    const row = new Uint8Array(k);
    for (let slot = 0; slot < k; slot += 1) {
      row[slot] = exp(numerator - logDistance(wanted, esis[slot] ?? 0) - (logDenominators[slot] ?? 0));
    }
    return row;
  });
}
