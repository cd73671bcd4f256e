import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Steps of the watch, milliseconds: a pause is known to within one. */
const STEP_MS = 10;
/** How long a pause is remembered, at least. */
const REMEMBERED_MS = 60_000;

/** The longest time in the last minute or two in which this thread received nothing, because it did something else or was not run. */
export class PauseWatch {
  readonly #delay = monitorEventLoopDelay({ resolution: STEP_MS });
  #since = performance.now();
  #before = 0;

  constructor() {
    this.#delay.enable();
  }

  get worstMs(): number {
    const worst = Math.max(0, this.#delay.max / 1e6 - STEP_MS);
    const longest = Math.max(worst, this.#before);
    if (performance.now() - this.#since > REMEMBERED_MS) {
      this.#since = performance.now();
      this.#before = worst;
      this.#delay.reset();
    }
    return longest;
  }
}
