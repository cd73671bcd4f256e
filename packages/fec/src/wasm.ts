import type { CodecKind, Engine } from './engine.ts';
import { multiply } from './gf256.ts';
import { RELAXED_SIMD_KERNEL, SIMD_KERNEL } from './kernel.wasm.ts';
import { ENCODING_SYMBOLS_MAX } from './limits.ts';

/** The part of the WebAssembly interface in use; the language itself does not have it. */
interface WebAssemblyHost {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: new (limits: { initial: number }) => Memory;
}
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
/** What kernel/kernel.ts exports; numbers are addresses and lengths in the memory it imports. */
interface Kernel {
  rows4(
    symbols: number,
    stride: number,
    k: number,
    coefficients: number,
    out: number,
    outStride: number,
    bytes: number,
  ): void;
  rows1(symbols: number, stride: number, k: number, coefficients: number, out: number, bytes: number): void;
}

const BUILDS: readonly (readonly [kind: Exclude<CodecKind, 'scalar'>, base64: string])[] = [
  ['relaxed-simd', RELAXED_SIMD_KERNEL],
  ['simd', SIMD_KERNEL],
];
const PAGE_BYTES = 65536;
/** The kernel works on this many bytes of each symbol at a time, and on no fewer. */
const STEP_BYTES = 32;
const ROWS = 4;
const ADDRESS_BYTES = 4;
/** Nibble tables of one coefficient: products with 0x00 to 0x0f, then with 0x00 to 0xf0. */
const TABLE_BYTES = 32;

// The memory, from its start: nibble tables, table addresses of a group of rows, their results, the symbols.
const COEFFICIENTS = 256 * TABLE_BYTES;
const RESULTS = COEFFICIENTS + ENCODING_SYMBOLS_MAX * ROWS * ADDRESS_BYTES + ADDRESS_BYTES * ROWS;

/** The fastest WebAssembly engine this runtime can run, or the one asked for; undefined when it cannot. */
export function openWasmEngine(kind?: CodecKind): Engine | undefined {
  const { WebAssembly: host } = globalThis as { WebAssembly?: WebAssemblyHost };
  if (host === undefined) return undefined;
  for (const [name, base64] of BUILDS) {
    if (kind !== undefined && kind !== name) continue;
    const bytes = Uint8Array.fromBase64(base64);
    if (host.validate(bytes)) return new WasmEngine(name, host, bytes);
  }
  return undefined;
}

/** Copies the symbols into a memory of its own, which grows to the largest block seen (2.3 MiB at most by L-4). */
class WasmEngine implements Engine {
  readonly kind: CodecKind;
  readonly #memory: Memory;
  readonly #kernel: Kernel;
  #bytes: Uint8Array;
  #view: DataView;

  constructor(kind: CodecKind, host: WebAssemblyHost, module: Uint8Array) {
    this.kind = kind;
    this.#memory = new host.Memory({ initial: 1 });
    const instance = new host.Instance(new host.Module(module), { env: { memory: this.#memory } });
    this.#kernel = instance.exports as Kernel;
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#view = new DataView(this.#memory.buffer);
    for (let at = 0; at < COEFFICIENTS; at += 1) {
      const nibble = at & 15;
      this.#bytes[at] = multiply(Math.floor(at / TABLE_BYTES), (at & 16) === 0 ? nibble : nibble << 4);
    }
  }

  multiply(
    rows: readonly Uint8Array[],
    symbols: Uint8Array,
    symbolBytes: number,
    out: Uint8Array,
    slots: readonly number[],
  ): void {
    const k = rows[0]?.length ?? 0;
    const resultBytes = Math.ceil(symbolBytes / STEP_BYTES) * STEP_BYTES;
    const from = RESULTS + ROWS * resultBytes;
    this.#reserve(from + k * symbolBytes + STEP_BYTES);
    this.#bytes.set(symbols.subarray(0, k * symbolBytes), from);
    const stepped = Math.max(symbolBytes, STEP_BYTES);
    let done = 0;
    while (done < rows.length) {
      // Three rows cost as much one by one as four at once.
      const count = rows.length - done >= ROWS - 1 ? Math.min(rows.length - done, ROWS) : 1;
      if (count === 1) {
        this.#placeCoefficients(rows.slice(done, done + 1), k, 1);
        this.#kernel.rows1(from, symbolBytes, k, COEFFICIENTS, RESULTS, stepped);
      } else {
        this.#placeCoefficients(rows.slice(done, done + count), k, ROWS);
        this.#kernel.rows4(from, symbolBytes, k, COEFFICIENTS, RESULTS, resultBytes, stepped);
      }
      for (let i = 0; i < count; i += 1) {
        const result = RESULTS + i * resultBytes;
        out.set(this.#bytes.subarray(result, result + symbolBytes), (slots[done + i] ?? 0) * symbolBytes);
      }
      done += count;
    }
  }

  /** Writes the table addresses of `width` rows, side by side for each symbol; a row that is not there counts as zeros. */
  #placeCoefficients(rows: readonly Uint8Array[], k: number, width: number): void {
    for (let i = 0; i < width; i += 1) {
      const row = rows[i];
      for (let j = 0; j < k; j += 1) {
        const address = (row?.[j] ?? 0) * TABLE_BYTES;
        this.#view.setUint32(COEFFICIENTS + (j * width + i) * ADDRESS_BYTES, address, true);
      }
    }
  }

  #reserve(bytes: number): void {
    const short = bytes - this.#bytes.length;
    if (short <= 0) return;
    this.#memory.grow(Math.ceil(short / PAGE_BYTES));
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#view = new DataView(this.#memory.buffer);
  }
}
