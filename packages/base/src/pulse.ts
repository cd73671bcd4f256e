/**
 * By what a thread shows that it moves: it beats whenever something is done, and whoever gave it work sees how long it has not.
 * A thread that is stuck beats no more, whatever the main thread says of it.
 */
export class Pulse {
  /** Given to the thread, which makes its own end of it. */
  readonly shared: SharedArrayBuffer;
  readonly #beats: Int32Array;
  readonly #now: () => number;
  #seen = 0;
  #since: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(shared = new SharedArrayBuffer(4), now = (): number => performance.now()) {
    this.shared = shared;
    this.#beats = new Int32Array(shared);
    this.#now = now;
    this.#since = now();
  }

  beat(): void {
    Atomics.add(this.#beats, 0, 1);
  }

  /** Milliseconds since the last beat was seen; 0 while the thread has nothing to do. Asked now and then: a beat counts from when it was seen. */
  stillMs(busy: boolean): number {
    const beats = Atomics.load(this.#beats, 0);
    if (!busy || beats !== this.#seen) {
      this.#seen = beats;
      this.#since = this.#now();
    }
    return this.#now() - this.#since;
  }
}
