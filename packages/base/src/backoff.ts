export interface BackoffOptions {
  readonly firstMs?: number;
  readonly maxMs?: number;
}

/** Waits that double from `firstMs` (default 100) to `maxMs` (default 5000). */
export class Backoff {
  readonly #first: number;
  readonly #max: number;
  #next: number;

  constructor(options: BackoffOptions = {}) {
    this.#first = options.firstMs ?? 100;
    this.#max = options.maxMs ?? 5000;
    this.#next = this.#first;
  }
  /** The wait before the next attempt, in milliseconds. */
  next(): number {
    const wait = this.#next;
    this.#next = Math.min(this.#max, wait * 2);
    return wait;
  }
  /** After a success. */
  reset(): void {
    this.#next = this.#first;
  }
}
