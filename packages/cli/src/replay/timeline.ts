/** Most steps; where there would be more, two become one. */
const STEPS_MAX = 480;
const STEP_NS = 50_000_000;

export interface Step {
  /** Nanoseconds since 1970 of its begin, as far as a number holds them. */
  readonly at: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** Counts over time in a bounded number of steps, however long the time. */
export class Timeline {
  #start: number | undefined;
  #step = STEP_NS;
  #steps: (Record<string, number> | undefined)[] = [];

  /** Length of a step, nanoseconds. */
  get stepNs(): number {
    return this.#step;
  }

  add(ns: number, name: string, count = 1): void {
    this.#start ??= ns;
    // A clock that went back is shown where it was.
    let index = Math.max(0, Math.floor((ns - this.#start) / this.#step));
    while (index >= STEPS_MAX) {
      this.#halve();
      index = Math.floor((ns - this.#start) / this.#step);
    }
    const counts = (this.#steps[index] ??= {});
    counts[name] = (counts[name] ?? 0) + count;
  }

  steps(): Step[] {
    const start = this.#start ?? 0;
    return Array.from(this.#steps, (counts, i) => ({ at: start + i * this.#step, counts: counts ?? {} }));
  }

  #halve(): void {
    const halved: (Record<string, number> | undefined)[] = [];
    for (const [i, counts] of this.#steps.entries()) {
      const into = (halved[i >>> 1] ??= {});
      for (const [name, count] of Object.entries(counts ?? {})) into[name] = (into[name] ?? 0) + count;
    }
    this.#steps = halved;
    this.#step *= 2;
  }
}
