import type { Arena } from '@sluice/wasm';
import { recoveryRows, repairRow } from './code.ts';
import type { CodecKind, Engine } from './engine.ts';
import { ENCODING_SYMBOLS_MAX } from './limits.ts';
import { ScalarEngine } from './scalar.ts';
import { openWasmEngine } from './wasm.ts';

/** What one run of a block sends beside source symbols: rows of the code, and their places in the run. */
interface Repair {
  readonly k: number;
  readonly rows: readonly Uint8Array[];
  readonly outs: Uint32Array;
}

/**
 * Reed-Solomon over GF(2^8) as `Codec`, on symbols that lie in an arena already: nothing is copied. Addresses are the
 * caller's to check; symbols have at least 32 bytes. One thread's.
 */
export class ArenaCodec {
  readonly #arena: Arena;
  readonly #engine: Engine;
  /** By the identity of the list of ESIs, for as long as whoever made it keeps it: the same one comes for every block of a pass. */
  readonly #repairs = new WeakMap<Uint8Array, Repair>();

  constructor(arena: Arena, kind: 'auto' | 'wasm' | CodecKind = 'auto') {
    this.#arena = arena;
    this.#engine = openEngine(arena, kind);
  }

  get kind(): CodecKind {
    return this.#engine.kind;
  }

  /**
   * Makes the repair symbols of a block, those of the ESIs in `esis` that are k or more; source symbols are left alone.
   * @param source address of the k source symbols, `stride` bytes apart
   * @param outs for each ESI the address where its symbol goes
   */
  encodeAt(
    source: number,
    k: number,
    symbolBytes: number,
    stride: number,
    esis: Uint8Array,
    outs: ArrayLike<number>,
  ): void {
    const known = this.#repairs.get(esis);
    const repair = known?.k === k ? known : this.#repair(esis, k);
    if (repair.rows.length === 0) return;
    let i = 0;
    for (let j = 0; j < esis.length; j += 1) {
      if ((esis[j] ?? 0) < k) continue;
      repair.outs[i] = outs[j] ?? 0;
      i += 1;
    }
    this.#engine.multiply(repair.rows, source, symbolBytes, stride, repair.outs);
  }

  /**
   * Recovers a block in place, as `Codec.recover`.
   * @param spare address of room for as many symbols as are missing, `stride` bytes apart
   */
  recoverAt(symbols: number, k: number, symbolBytes: number, stride: number, esis: Uint8Array, spare: number): boolean {
    if (!isPlaced(esis)) return false;
    const missing: number[] = [];
    esis.forEach((esi, slot) => {
      if (esi >= k) missing.push(slot);
    });
    if (missing.length === 0) return true;
    const rows = recoveryRows(esis, missing);
    const outs = missing.map((_, i) => spare + i * stride);
    this.#engine.multiply(rows, symbols, symbolBytes, stride, outs);
    missing.forEach((slot, i) => {
      const from = spare + i * stride;
      this.#arena.bytes.copyWithin(symbols + slot * stride, from, from + symbolBytes);
    });
    return true;
  }

  #repair(esis: Uint8Array, k: number): Repair {
    const rows = [...esis].filter((esi) => esi >= k).map((esi) => repairRow(k, esi));
    const repair = { k, rows, outs: new Uint32Array(rows.length) };
    this.#repairs.set(esis, repair);
    return repair;
  }
}

function openEngine(arena: Arena, kind: 'auto' | 'wasm' | CodecKind): Engine {
  if (kind === 'scalar') return new ScalarEngine(arena);
  const engine = openWasmEngine(arena, kind === 'auto' || kind === 'wasm' ? undefined : kind);
  if (engine !== undefined) return engine;
  if (kind === 'auto') return new ScalarEngine(arena);
  throw new Error(`this runtime cannot run the ${kind} kernel; ask for the codec kind auto`);
}

/** True when the ESIs are below 255, all different, and each source symbol's is its slot's. */
function isPlaced(esis: Uint8Array): boolean {
  const seen = new Uint8Array(ENCODING_SYMBOLS_MAX);
  return esis.every((esi, slot) => {
    const placed = esi < ENCODING_SYMBOLS_MAX && (esi >= esis.length || esi === slot) && seen[esi] === 0;
    seen[esi] = 1;
    return placed;
  });
}
