import { epochAt, tsiEpoch } from '@sluice/alc';

/** Seconds that a session waits for its epoch. A clock that is further behind was set back: it is not waited for. */
const WAIT_SECONDS = 3;
const WAIT_NS = WAIT_SECONDS * 1e9;
const LOOK_NS = 25_000_000;

export interface EpochWaitParts {
  /** Unix seconds. */
  readonly wallSeconds: () => number;
  /** The session is used though the clock has not passed its epoch, which is so many seconds ahead. */
  readonly onAhead: (seconds: number) => void;
}

/**
 * Holds a session back until the wall clock has passed its epoch's second (PROTOCOL.md S-1). A session that begins later, on
 * a ledger set back to a backup that knows nothing of this one, then gets a greater epoch from the clock: were it the same,
 * its numbers would be used twice, under one key.
 */
export class EpochWait {
  readonly #epoch: number;
  readonly #parts: EpochWaitParts;
  #since: number | undefined;
  #over = false;

  constructor(tsi: number, parts: EpochWaitParts) {
    this.#epoch = tsiEpoch(tsi);
    this.#parts = parts;
  }

  /** True once the session may be used. Waiting begins with the first `now`, nanoseconds. */
  over(now?: number): boolean {
    if (this.#over) return true;
    this.#since ??= now;
    const ahead = this.#epoch - epochAt(this.#parts.wallSeconds());
    const waited = now === undefined || this.#since === undefined ? 0 : now - this.#since;
    const useless = ahead >= WAIT_SECONDS || waited >= WAIT_NS;
    this.#over = ahead < 0 || useless;
    if (useless && ahead >= 0) this.#parts.onAhead(ahead);
    return this.#over;
  }

  /** When to look again; undefined once the session may be used. */
  until(now: number): number | undefined {
    return this.over(now) ? undefined : now + LOOK_NS;
  }
}
