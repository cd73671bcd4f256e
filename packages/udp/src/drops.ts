const WRAP = 2 ** 32;

/** Makes of the kernel's 32-bit drop counter one that never wraps, as long as it is read once per 2^32 drops. */
export class DropCounter {
  readonly #read: () => number;
  #last = 0;
  #total = 0;

  /** `read` gives drops modulo 2^32 since the socket was made. */
  constructor(read: () => number) {
    this.#read = read;
  }

  total(): number {
    const now = this.#read();
    this.#total += (now - this.#last + WRAP) % WRAP;
    this.#last = now;
    return this.#total;
  }
}
