import type { Engine } from './engine.ts';
import { multiply } from './gf256.ts';

/** a * b at a * 256 + b. */
const PRODUCTS = Uint8Array.from({ length: 256 * 256 }, (_, i) => multiply(i >>> 8, i & 255));

/** The plain reference, and what remains where there is no WebAssembly SIMD. */
export class ScalarEngine implements Engine {
  readonly kind = 'scalar';

  multiply(
    rows: readonly Uint8Array[],
    symbols: Uint8Array,
    symbolBytes: number,
    out: Uint8Array,
    slots: readonly number[],
  ): void {
    const results = rows.map((row) => combine(row, symbols, symbolBytes));
    results.forEach((result, i) => out.set(result, (slots[i] ?? 0) * symbolBytes));
  }
}

/** One row: the sum over j of row[j] * symbol j. */
function combine(row: Uint8Array, symbols: Uint8Array, symbolBytes: number): Uint8Array {
  const sum = new Uint8Array(symbolBytes);
  row.forEach((coefficient, j) => {
    const times = PRODUCTS.subarray(coefficient * 256, coefficient * 256 + 256);
    const symbol = symbols.subarray(j * symbolBytes, (j + 1) * symbolBytes);
    for (let i = 0; i < symbolBytes; i += 1) sum[i] = (sum[i] ?? 0) ^ (times[symbol[i] ?? 0] ?? 0);
  });
  return sum;
}
