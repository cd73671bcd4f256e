import { BlockCode } from './code.ts';
import type { CodecKind, Engine } from './engine.ts';
import { assertWithin, ENCODING_SYMBOLS_MAX, SOURCE_SYMBOLS_MAX, SYMBOL_BYTES_MAX } from './limits.ts';
import { ScalarEngine } from './scalar.ts';
import { openWasmEngine } from './wasm.ts';

/** Reed-Solomon over GF(2^8), FEC Encoding ID 5 (docs/PROTOCOL.md F-2). One thread's; keeps its matrices and its memory. */
export interface Codec {
  readonly kind: CodecKind;

  /**
   * Writes the encoding symbol of each ESI in `esis` to `out`, in that order.
   * @param source k * symbolBytes bytes, the last symbol padded with zeros (F-3)
   * @param symbolBytes any length; E need not be a multiple of anything
   * @param esis each below 255; a source symbol is copied
   * @param out at least esis.length * symbolBytes bytes, not overlapping `source`
   */
  encode(source: Uint8Array, k: number, symbolBytes: number, esis: ArrayLike<number>, out: Uint8Array): void;

  /**
   * Recovers a block in place: afterwards slot i holds source symbol i.
   * @param symbols k slots of symbolBytes bytes; slot i holds the symbol of ESI esis[i]
   * @param esis k different ones below 255; a source symbol is in its own slot, repair symbols are in the others
   * @returns false, and nothing changed, when `esis` is not that
   */
  recover(symbols: Uint8Array, k: number, symbolBytes: number, esis: Uint8Array): boolean;
}

/**
 * Makes a codec. All kinds give the same bytes.
 * @param kind `auto` takes the fastest that the runtime can run, down to `scalar`; `wasm` insists on WebAssembly.
 *   A `CodecKind` insists on that one.
 */
export function createCodec(kind: 'auto' | 'wasm' | CodecKind = 'auto'): Codec {
  if (kind === 'scalar') return new BlockCodec(new ScalarEngine());
  const engine = openWasmEngine(kind === 'auto' || kind === 'wasm' ? undefined : kind);
  if (engine !== undefined) return new BlockCodec(engine);
  if (kind === 'auto') return new BlockCodec(new ScalarEngine());
  throw new Error(`this runtime cannot run the ${kind} kernel; ask for the codec kind auto`);
}

class BlockCodec implements Codec {
  readonly #engine: Engine;
  readonly #codes = new Map<number, BlockCode>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get kind(): CodecKind {
    return this.#engine.kind;
  }

  encode(source: Uint8Array, k: number, symbolBytes: number, esis: ArrayLike<number>, out: Uint8Array): void {
    assertShape(source, k, symbolBytes);
    if (out.length < esis.length * symbolBytes) {
      throw new RangeError(`${out.length} bytes do not hold ${esis.length} symbols of ${symbolBytes} bytes`);
    }
    const code = this.#code(k);
    const rows: Uint8Array[] = [];
    const slots: number[] = [];
    for (let slot = 0; slot < esis.length; slot += 1) {
      const esi = esis[slot] ?? 0;
      assertWithin('encoding symbol ID', esi, 0, ENCODING_SYMBOLS_MAX - 1);
      if (esi < k) {
        out.set(source.subarray(esi * symbolBytes, (esi + 1) * symbolBytes), slot * symbolBytes);
      } else {
        rows.push(code.repairRow(esi));
        slots.push(slot);
      }
    }
    if (rows.length > 0) this.#engine.multiply(rows, source, symbolBytes, out, slots);
  }

  recover(symbols: Uint8Array, k: number, symbolBytes: number, esis: Uint8Array): boolean {
    assertShape(symbols, k, symbolBytes);
    if (esis.length !== k || !isPlaced(esis)) return false;
    const missing: number[] = [];
    esis.forEach((esi, slot) => {
      if (esi >= k) missing.push(slot);
    });
    if (missing.length > 0) {
      const rows = this.#code(k).recoveryRows(esis, missing);
      this.#engine.multiply(rows, symbols, symbolBytes, symbols, missing);
    }
    return true;
  }

  #code(k: number): BlockCode {
    let code = this.#codes.get(k);
    if (code === undefined) {
      code = new BlockCode(k);
      this.#codes.set(k, code);
    }
    return code;
  }
}

/** True when the ESIs are below 255, all different, and each source symbol's is its slot's. */
function isPlaced(esis: Uint8Array): boolean {
  const seen = new Set<number>();
  return esis.every((esi, slot) => {
    const placed = esi < ENCODING_SYMBOLS_MAX && (esi >= esis.length || esi === slot) && !seen.has(esi);
    seen.add(esi);
    return placed;
  });
}

function assertShape(symbols: Uint8Array, k: number, symbolBytes: number): void {
  assertWithin('source symbols of a block', k, 1, SOURCE_SYMBOLS_MAX);
  assertWithin('symbol length', symbolBytes, 1, SYMBOL_BYTES_MAX);
  if (symbols.length < k * symbolBytes) {
    throw new RangeError(`${symbols.length} bytes are not a block of ${k} symbols of ${symbolBytes} bytes`);
  }
}
