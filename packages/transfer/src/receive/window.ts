/** Sequence numbers a session remembers (PROTOCOL.md A-5). */
export const WINDOW = 65_536;
/** Bytes that a window takes: a bit for each number, then highest, lowest and count as 64-bit floats. */
export const WINDOW_BYTES = WINDOW / 8 + 24;

const HIGHEST = 0;
const LOWEST = 1;
const COUNT = 2;

/**
 * Replay window of one session: a bit for each of the last 65,536 sequence numbers.
 * `has` is read before the tag is checked, `add` called after it held.
 */
export class ReplayWindow {
  readonly #bits: Uint32Array;
  readonly #numbers: Float64Array;

  /** @param memory WINDOW_BYTES bytes at a multiple of 8, zero: shared with the kernel, or of its own */
  constructor(memory: Uint8Array = new Uint8Array(WINDOW_BYTES)) {
    this.#bits = new Uint32Array(memory.buffer, memory.byteOffset, WINDOW / 32);
    this.#numbers = new Float64Array(memory.buffer, memory.byteOffset + WINDOW / 8, 3);
  }

  /** Highest sequence number accepted, 0 before the first. */
  get highest(): number {
    return this.#numbers[HIGHEST] ?? 0;
  }

  /** Sequence numbers accepted. */
  get count(): number {
    return this.#numbers[COUNT] ?? 0;
  }

  /** Sequence numbers between the first and the highest accepted that have not come. */
  get missing(): number {
    return this.count === 0 ? 0 : this.highest - (this.#numbers[LOWEST] ?? 0) + 1 - this.count;
  }

  /** True when `sn` was accepted before, is 0, or is too old to know. */
  has(sn: number): boolean {
    if (sn === 0 || sn + WINDOW <= this.highest) return true;
    if (sn > this.highest) return false;
    const bit = sn % WINDOW;
    return ((this.#bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  /** Begins behind `sn`: all up to it counts as accepted before, and none of it as missing. */
  beginBehind(sn: number): void {
    this.#bits.fill(0xffff_ffff);
    this.#numbers[HIGHEST] = sn;
  }

  /** Takes `sn`, for which `has` was false. */
  add(sn: number): void {
    if (sn > this.highest) this.#slide(sn);
    const bit = sn % WINDOW;
    this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] ?? 0) | (1 << (bit & 31));
    const lowest = this.#numbers[LOWEST] ?? 0;
    this.#numbers[LOWEST] = this.count === 0 ? sn : Math.min(lowest, sn);
    this.#numbers[COUNT] = this.count + 1;
  }

  /** Clears the bits between the old and the new highest number. */
  #slide(sn: number): void {
    if (sn - this.highest >= WINDOW) this.#bits.fill(0);
    else {
      for (let n = this.highest + 1; n <= sn;) {
        const bit = n % WINDOW;
        // A whole word at once where all of it is behind: 65,535 numbers may be left out.
        const isWhole = (bit & 31) === 0 && sn - n >= 31;
        this.#bits[bit >>> 5] = isWhole ? 0 : (this.#bits[bit >>> 5] ?? 0) & ~(1 << (bit & 31));
        n += isWhole ? 32 : 1;
      }
    }
    this.#numbers[HIGHEST] = sn;
  }
}
