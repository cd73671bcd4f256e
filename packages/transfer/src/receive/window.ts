/** Sequence numbers a session remembers (PROTOCOL.md A-5). */
export const WINDOW = 65_536;

/**
 * Replay window of one session: a bit for each of the last 65,536 sequence numbers.
 * `has` is read before the tag is checked, `add` called after it held.
 */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WINDOW / 32);
  #highest = 0;
  #lowest = 0;
  #count = 0;

  /** Highest sequence number accepted, 0 before the first. */
  get highest(): number {
    return this.#highest;
  }

  /** Sequence numbers accepted. */
  get count(): number {
    return this.#count;
  }

  /** Sequence numbers between the first and the highest accepted that have not come. */
  get missing(): number {
    return this.#count === 0 ? 0 : this.#highest - this.#lowest + 1 - this.#count;
  }

  /** True when `sn` was accepted before, is 0, or is too old to know. */
  has(sn: number): boolean {
    if (sn === 0 || sn + WINDOW <= this.#highest) return true;
    if (sn > this.#highest) return false;
    const bit = sn % WINDOW;
    return ((this.#bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  /** Takes `sn`, for which `has` was false. */
  add(sn: number): void {
    if (sn > this.#highest) this.#slide(sn);
    const bit = sn % WINDOW;
    this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] ?? 0) | (1 << (bit & 31));
    this.#lowest = this.#count === 0 ? sn : Math.min(this.#lowest, sn);
    this.#count += 1;
  }

  /** Clears the bits between the old and the new highest number. */
  #slide(sn: number): void {
    if (sn - this.#highest >= WINDOW) this.#bits.fill(0);
    else {
      for (let n = this.#highest + 1; n <= sn; n += 1) {
        const bit = n % WINDOW;
        this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] ?? 0) & ~(1 << (bit & 31));
      }
    }
    this.#highest = sn;
  }
}
