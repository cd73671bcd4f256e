import { webAssembly, type WebAssemblyMemory } from './host.ts';

const PAGE_BYTES = 65_536;
/** Address 0 means "none" to the kernels, so nothing lies there. */
const FIRST_ADDRESS = 64;

/**
 * Memory of one size that never moves, laid out once from its start: WebAssembly kernels import it, native calls get its
 * address, threads share it, and nothing is copied between them. Pages that are never touched take no memory.
 */
export class Arena {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly doubles: Float64Array;
  /** What kernels import; undefined where the runtime has no WebAssembly. */
  readonly memory: WebAssemblyMemory | undefined;
  #next = FIRST_ADDRESS;

  private constructor(memory: WebAssemblyMemory | undefined, buffer: ArrayBufferLike) {
    this.memory = memory;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.doubles = new Float64Array(buffer);
  }

  /** @param bytes rounded up to whole pages of 64 KiB; below 4 GiB. @param plain not for kernels: many may live at once. */
  static create(bytes: number, plain = false): Arena {
    const pages = Math.ceil((bytes + FIRST_ADDRESS) / PAGE_BYTES);
    const host = plain ? undefined : webAssembly();
    if (host === undefined) return new Arena(undefined, new SharedArrayBuffer(pages * PAGE_BYTES));
    const memory = new host.Memory({ initial: pages, maximum: pages, shared: true });
    return new Arena(memory, memory.buffer);
  }

  /** The same memory in another thread, which was handed `memory`. It lays out nothing there. */
  static of(memory: WebAssemblyMemory): Arena {
    return new Arena(memory, memory.buffer);
  }

  /** Bytes not laid out yet. */
  get left(): number {
    return this.bytes.length - this.#next;
  }

  /** The address of `bytes` bytes that are nobody else's, zero at first. @param align a power of two */
  take(bytes: number, align = 64): number {
    const at = Math.ceil(this.#next / align) * align;
    if (at + bytes > this.bytes.length) throw new RangeError(`the arena has no room for ${bytes} bytes more`);
    this.#next = at + bytes;
    return at;
  }

  view(at: number, bytes: number): Uint8Array {
    return this.bytes.subarray(at, at + bytes);
  }
}
