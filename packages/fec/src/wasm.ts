import { type Arena, openKernel } from '@sluice/wasm';
import type { CodecKind, Engine } from './engine.ts';
import { multiply } from './gf256.ts';
import { RELAXED_SIMD_KERNEL, SIMD_KERNEL } from './kernel.wasm.ts';
import { SYMBOL_BYTES_MAX } from './limits.ts';

/** What kernel/kernel.ts exports; numbers are addresses and lengths in the arena. */
interface Kernel {
  rows4(symbols: number, stride: number, k: number, coefficients: number, outs: number, bytes: number): void;
  rows1(symbols: number, stride: number, k: number, coefficients: number, out: number, bytes: number): void;
}

const BUILDS: readonly (readonly [kind: Exclude<CodecKind, 'scalar'>, base64: string])[] = [
  ['relaxed-simd', RELAXED_SIMD_KERNEL],
  ['simd', SIMD_KERNEL],
];
/** The kernel works on this many bytes of each symbol at a time, and on no fewer. */
const STEP_BYTES = 32;
const ROWS = 4;
const ADDRESS_BYTES = 4;
/** Nibble tables of one coefficient: products with 0x00 to 0x0f, then with 0x00 to 0xf0. */
const TABLE_BYTES = 32;
/** Room for the table addresses of matrices that come again; the largest takes 66 KiB. */
const PROGRAM_BYTES = 256 * 1024;

/** The fastest WebAssembly engine this runtime can run, or the one asked for; undefined when it cannot. */
export function openWasmEngine(arena: Arena, kind?: CodecKind): Engine | undefined {
  for (const [name, base64] of BUILDS) {
    if (kind !== undefined && kind !== name) continue;
    const kernel = openKernel(base64, arena);
    if (kernel !== undefined) return new WasmEngine(name, arena, kernel as Kernel);
  }
  return undefined;
}

class WasmEngine implements Engine {
  readonly kind: CodecKind;
  readonly #arena: Arena;
  readonly #kernel: Kernel;
  readonly #tables: number;
  readonly #outs: number;
  readonly #programs: number;
  /** Where the table addresses of a matrix lie, as long as `round` is the present one. */
  readonly #known = new WeakMap<readonly Uint8Array[], { readonly at: number; readonly round: number }>();
  #round = 0;
  #programBytes = 0;
  /** Where the fourth of three rows goes; nobody looks there. */
  readonly #nowhere: number;

  constructor(kind: CodecKind, arena: Arena, kernel: Kernel) {
    this.kind = kind;
    this.#arena = arena;
    this.#kernel = kernel;
    this.#tables = arena.take(256 * TABLE_BYTES);
    this.#outs = arena.take(ROWS * ADDRESS_BYTES);
    this.#programs = arena.take(PROGRAM_BYTES);
    this.#nowhere = arena.take(SYMBOL_BYTES_MAX + STEP_BYTES);
    for (let at = 0; at < 256 * TABLE_BYTES; at += 1) {
      const nibble = at & 15;
      const value = multiply(Math.floor(at / TABLE_BYTES), (at & 16) === 0 ? nibble : nibble << 4);
      arena.bytes[this.#tables + at] = value;
    }
  }

  multiply(
    rows: readonly Uint8Array[],
    symbols: number,
    symbolBytes: number,
    stride: number,
    outs: ArrayLike<number>,
  ): void {
    const k = rows[0]?.length ?? 0;
    let program = this.#program(rows, k);
    for (let done = 0; done < rows.length;) {
      const count = together(rows.length - done);
      if (count === 1) this.#kernel.rows1(symbols, stride, k, program, outs[done] ?? 0, symbolBytes);
      else {
        for (let i = 0; i < ROWS; i += 1) {
          this.#arena.words[(this.#outs >>> 2) + i] = i < count ? (outs[done + i] ?? 0) : this.#nowhere;
        }
        this.#kernel.rows4(symbols, stride, k, program, this.#outs, symbolBytes);
      }
      program += k * ADDRESS_BYTES * (count === 1 ? 1 : ROWS);
      done += count;
    }
  }

  /** The address of the matrix's table addresses, side by side for each symbol in groups of rows as they are multiplied. */
  #program(rows: readonly Uint8Array[], k: number): number {
    const known = this.#known.get(rows);
    if (known?.round === this.#round) return known.at;
    const bytes = (rows.length + ROWS) * k * ADDRESS_BYTES;
    if (this.#programBytes + bytes > PROGRAM_BYTES) {
      this.#round += 1;
      this.#programBytes = 0;
    }
    const at = this.#programs + this.#programBytes;
    let word = at >>> 2;
    for (let done = 0; done < rows.length;) {
      const count = together(rows.length - done);
      const width = count === 1 ? 1 : ROWS;
      for (let j = 0; j < k; j += 1) {
        for (let i = 0; i < width; i += 1) {
          const coefficient = i < count ? (rows[done + i]?.[j] ?? 0) : 0;
          this.#arena.words[word] = this.#tables + coefficient * TABLE_BYTES;
          word += 1;
        }
      }
      done += count;
    }
    this.#programBytes += bytes;
    this.#known.set(rows, { at, round: this.#round });
    return at;
  }
}

/** How many of `left` rows are done in one go: three cost as much one by one as four at once. */
const together = (left: number): number => (left >= ROWS - 1 ? Math.min(left, ROWS) : 1);
