/** Nanoseconds of a monotonic clock; the pure packages have none of their own. */
export type MonotonicNs = () => number;

/** How long the stops of this half have taken so far. Without a clock it measures nothing. */
export class Stopwatch<Stop extends string> {
  readonly #clock: MonotonicNs | undefined;
  readonly #ns: Record<Stop, number>;
  #since = 0;

  constructor(stops: readonly Stop[], clock: MonotonicNs | undefined) {
    this.#clock = clock;
    this.#ns = Object.fromEntries(stops.map((stop) => [stop, 0])) as Record<Stop, number>;
  }

  /** From here on time counts. */
  start(): void {
    if (this.#clock !== undefined) this.#since = this.#clock();
  }

  /** The time since `start`, or since the stop before, was this stop's. */
  lap(stop: Stop): void {
    if (this.#clock === undefined) return;
    const now = this.#clock();
    this.#ns[stop] += now - this.#since;
    this.#since = now;
  }

  /** Nanoseconds of each stop so far. */
  get ns(): Readonly<Record<Stop, number>> {
    return this.#ns;
  }
}
