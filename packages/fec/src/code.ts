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

/** The code for blocks of k source symbols. Rows of coefficients are made once and kept: at most (255 - k) * k bytes. */
export class BlockCode {
  readonly k: number;
  /** For each ESI e: the log of the product, over the source points s other than e's own, of (point(e) - s). */
  readonly #logProducts: Uint16Array;
  readonly #rows: (Uint8Array | undefined)[] = [];

  constructor(k: number) {
    this.k = k;
    this.#logProducts = Uint16Array.from({ length: ENCODING_SYMBOLS_MAX }, (_, esi) => {
      let sum = 0;
      for (let source = 0; source < k; source += 1) sum += logDistance(esi, source);
      return sum;
    });
  }

  /** The k coefficients by which the source symbols make the repair symbol `esi`. */
  repairRow(esi: number): Uint8Array {
    let row = this.#rows[esi];
    if (row === undefined) {
      const products = this.#logProducts;
      const numerator = products[esi] ?? 0;
      row = Uint8Array.from({ length: this.k }, (_, j) => exp(numerator - logDistance(esi, j) - (products[j] ?? 0)));
      this.#rows[esi] = row;
    }
    return row;
  }

  /**
   * For each slot in `missing`, the k coefficients by which the symbols of `esis` make the source symbol of that slot.
   * @param esis what the slots hold: k different ESIs, each source symbol in its own slot
   * @param missing the slots that hold repair symbols, ascending
   */
  recoveryRows(esis: Uint8Array, missing: readonly number[]): Uint8Array[] {
    // The polynomial whose roots are the points held is that of the source points, with the repair points held put in
    // and the missing source points taken out. So its products differ from #logProducts in 2 * missing.length factors.
    const repair = missing.map((slot) => esis[slot] ?? 0);
    const logProduct = (esi: number): number => {
      let sum = this.#logProducts[esi] ?? 0;
      for (const held of repair) sum += logDistance(esi, held);
      for (const gone of missing) sum -= logDistance(esi, gone);
      return sum;
    };
    const logDenominators = Int32Array.from(esis, logProduct);
    return missing.map((wanted) => {
      const numerator = logProduct(wanted);
      const row = new Uint8Array(this.k);
      for (let slot = 0; slot < this.k; slot += 1) {
        row[slot] = exp(numerator - logDistance(wanted, esis[slot] ?? 0) - (logDenominators[slot] ?? 0));
      }
      return row;
    });
  }
}
