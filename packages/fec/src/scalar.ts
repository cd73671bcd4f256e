import type { Arena } from '@sluice/wasm';
import type { Engine } from './engine.ts';
import { multiply } from './gf256.ts';

/** a * b at a * 256 + b. */
const PRODUCTS = Uint8Array.from({ length: 256 * 256 }, (_, i) => multiply(i >>> 8, i & 255));

/** The plain reference, and what remains where there is no WebAssembly SIMD. */
export class ScalarEngine implements Engine {
  readonly kind = 'scalar';
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  multiply(
    rows: readonly Uint8Array[],
    symbols: number,
    symbolBytes: number,
    stride: number,
    outs: ArrayLike<number>,
  ): void {
    rows.forEach((row, i) => {
      const sum = this.#arena.view(outs[i] ?? 0, symbolBytes).fill(0);
      row.forEach((coefficient, j) => {
        const times = PRODUCTS.subarray(coefficient * 256, coefficient * 256 + 256);
        const symbol = this.#arena.view(symbols + j * stride, symbolBytes);
        for (let at = 0; at < symbolBytes; at += 1) sum[at] = (sum[at] ?? 0) ^ (times[symbol[at] ?? 0] ?? 0);
      });
    });
  }
}
