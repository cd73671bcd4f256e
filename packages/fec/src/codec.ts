import { Arena } from '@sluice/wasm';
import { ArenaCodec } from './arena-codec.ts';
import type { CodecKind } from './engine.ts';
import { assertWithin, ENCODING_SYMBOLS_MAX, SOURCE_SYMBOLS_MAX, SYMBOL_BYTES_MAX } from './limits.ts';

/** Reed-Solomon over GF(2^8), FEC Encoding ID 5 (docs/PROTOCOL.md F-2), on bytes that lie anywhere. One thread's. */
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

/** Symbols lie this many bytes apart in the codec's own memory, or a multiple. */
const STRIDE_BYTES = 32;
/** All encoding symbols of a block of the longest symbols, and what an engine needs. */
const ARENA_BYTES = ENCODING_SYMBOLS_MAX * (SYMBOL_BYTES_MAX + STRIDE_BYTES) + 2 ** 20;

/**
 * Makes a codec that copies symbols into memory of its own and back. All kinds give the same bytes.
 * @param kind `auto` takes the fastest that the runtime can run, down to `scalar`; `wasm` insists on WebAssembly.
 *   A `CodecKind` insists on that one.
 */
export function createCodec(kind: 'auto' | 'wasm' | CodecKind = 'auto'): Codec {
  return new CopyingCodec(Arena.create(ARENA_BYTES), kind);
}

class CopyingCodec implements Codec {
  readonly #arena: Arena;
  readonly #codec: ArenaCodec;
  readonly #symbols: number;

  constructor(arena: Arena, kind: 'auto' | 'wasm' | CodecKind) {
    this.#arena = arena;
    this.#codec = new ArenaCodec(arena, kind);
    this.#symbols = arena.take(0);
  }

  get kind(): CodecKind {
    return this.#codec.kind;
  }

  encode(source: Uint8Array, k: number, symbolBytes: number, esis: ArrayLike<number>, out: Uint8Array): void {
    assertShape(source, k, symbolBytes);
    if (out.length < esis.length * symbolBytes) {
      throw new RangeError(`${out.length} bytes do not hold ${esis.length} symbols of ${symbolBytes} bytes`);
    }
    const stride = strideOf(symbolBytes);
    // Each repair symbol once, behind the source symbols.
    const addresses = new Map<number, number>();
    for (let slot = 0; slot < esis.length; slot += 1) {
      const esi = esis[slot] ?? 0;
      assertWithin('encoding symbol ID', esi, 0, ENCODING_SYMBOLS_MAX - 1);
      if (esi >= k && !addresses.has(esi)) addresses.set(esi, this.#symbols + (k + addresses.size) * stride);
    }
    for (let j = 0; j < k; j += 1) this.#copyIn(source, j, symbolBytes, stride);
    if (addresses.size > 0) {
      const repair = new Uint8Array(addresses.size);
      const outs = new Uint32Array(addresses.size);
      let i = 0;
      for (const [esi, at] of addresses) {
        repair[i] = esi;
        outs[i] = at;
        i += 1;
      }
      this.#codec.encodeAt(this.#symbols, k, stride, stride, repair, outs);
    }
    for (let slot = 0; slot < esis.length; slot += 1) {
      const esi = esis[slot] ?? 0;
      const at = addresses.get(esi) ?? this.#symbols + esi * stride;
      out.set(this.#arena.view(at, symbolBytes), slot * symbolBytes);
    }
  }

  recover(symbols: Uint8Array, k: number, symbolBytes: number, esis: Uint8Array): boolean {
    assertShape(symbols, k, symbolBytes);
    const stride = strideOf(symbolBytes);
    if (esis.length !== k) return false;
    for (let j = 0; j < k; j += 1) this.#copyIn(symbols, j, symbolBytes, stride);
    const spare = this.#symbols + k * stride;
    if (!this.#codec.recoverAt(this.#symbols, k, stride, stride, esis, spare)) return false;
    esis.forEach((esi, slot) => {
      if (esi >= k) symbols.set(this.#arena.view(this.#symbols + slot * stride, symbolBytes), slot * symbolBytes);
    });
    return true;
  }

  #copyIn(symbols: Uint8Array, j: number, symbolBytes: number, stride: number): void {
    const at = this.#symbols + j * stride;
    this.#arena.bytes.set(symbols.subarray(j * symbolBytes, (j + 1) * symbolBytes), at);
    this.#arena.bytes.fill(0, at + symbolBytes, at + stride);
  }
}

const strideOf = (symbolBytes: number): number => Math.ceil(symbolBytes / STRIDE_BYTES) * STRIDE_BYTES;

function assertShape(symbols: Uint8Array, k: number, symbolBytes: number): void {
  assertWithin('source symbols of a block', k, 1, SOURCE_SYMBOLS_MAX);
  assertWithin('symbol length', symbolBytes, 1, SYMBOL_BYTES_MAX);
  if (symbols.length < k * symbolBytes) {
    throw new RangeError(`${symbols.length} bytes are not a block of ${k} symbols of ${symbolBytes} bytes`);
  }
}
