import { invert, multiply } from './gf256.ts';
import { coefficients } from './matrix.ts';
import { MAX_SYMBOLS } from './profile.ts';

/** Systematic Reed-Solomon over GF(2^8), k source symbols, ESIs 0 to 254. */
export interface Codec {
  readonly kind: 'wasm' | 'scalar';
  /**
   * @param source k * symbolBytes bytes
   * @param esis what to write, source ESIs included
   * @param out esis.length * symbolBytes bytes, in the order of `esis`
   */
  encode(source: Uint8Array, k: number, symbolBytes: number, esis: ArrayLike<number>, out: Uint8Array): void;
  /**
   * Slot i of `symbols` holds the symbol of ESI esis[i]; a source symbol sits in its own slot. On return slot i holds
   * source symbol i. False, and nothing changed, when the ESIs are not k different ones placed so.
   */
  recover(symbols: Uint8Array, k: number, symbolBytes: number, esis: Uint8Array): boolean;
}

/** out[outAt...] ^= factor * from[fromAt...], the one inner loop of encoding and recovery. */
export type MultiplyAdd = (
  out: Uint8Array,
  outAt: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
  factor: number,
) => void;

const scalarMultiplyAdd: MultiplyAdd = (out, outAt, from, fromAt, length, factor) => {
  const products = Uint8Array.from({ length: 256 }, (_, byte) => multiply(byte, factor));
  for (let i = 0; i < length; i += 1) {
    out[outAt + i] = (out[outAt + i] ?? 0) ^ (products[from[fromAt + i] ?? 0] ?? 0);
  }
};

class ScalarCodec implements Codec {
  readonly kind = 'scalar';

  encode(source: Uint8Array, k: number, symbolBytes: number, esis: ArrayLike<number>, out: Uint8Array): void {
    for (let j = 0; j < esis.length; j += 1) {
      const esi = esis[j] ?? 0;
      const at = j * symbolBytes;
      if (esi < k) {
        out.set(source.subarray(esi * symbolBytes, (esi + 1) * symbolBytes), at);
        continue;
      }
      out.fill(0, at, at + symbolBytes);
      coefficients(k, esi).forEach((factor, i) => {
        scalarMultiplyAdd(out, at, source, i * symbolBytes, symbolBytes, factor);
      });
    }
  }

  recover(symbols: Uint8Array, k: number, symbolBytes: number, esis: Uint8Array): boolean {
    const missing = missingSlots(esis, k);
    if (missing === undefined) return false;
    const e = missing.length;
    if (e === 0) return true;
    const matrix = new Uint8Array(e * e);
    missing.forEach((slot, row) => {
      const line = coefficients(k, esis[slot] ?? 0);
      missing.forEach((column, i) => {
        matrix[row * e + i] = line[column] ?? 0;
      });
    });
    if (!invert(matrix, e)) return false;
    // What the repair symbols say of the missing ones alone: each less its known source symbols.
    const known = symbols.slice();
    missing.forEach((slot) => {
      const line = coefficients(k, esis[slot] ?? 0);
      for (let i = 0; i < k; i += 1) {
        if (esis[i] !== i) continue;
        scalarMultiplyAdd(known, slot * symbolBytes, symbols, i * symbolBytes, symbolBytes, line[i] ?? 0);
      }
    });
    missing.forEach((slot, row) => {
      symbols.fill(0, slot * symbolBytes, (slot + 1) * symbolBytes);
      missing.forEach((from, i) => {
        const factor = matrix[row * e + i] ?? 0;
        scalarMultiplyAdd(symbols, slot * symbolBytes, known, from * symbolBytes, symbolBytes, factor);
      });
    });
    return true;
  }
}

/** Slots that hold repair symbols, or undefined when `esis` is not k different ESIs with source symbols in their slots. */
export function missingSlots(esis: Uint8Array, k: number): number[] | undefined {
  if (esis.length !== k) return undefined;
  const seen = new Set<number>();
  const missing: number[] = [];
  for (let slot = 0; slot < k; slot += 1) {
    const esi = esis[slot] ?? MAX_SYMBOLS;
    if (esi >= MAX_SYMBOLS || seen.has(esi) || (esi < k && esi !== slot)) return undefined;
    seen.add(esi);
    if (esi >= k) missing.push(slot);
  }
  return missing;
}

export const createCodec = (): Codec => new ScalarCodec();
