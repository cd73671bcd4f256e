/** Time as handed to everything that needs it; tests and the simulator hand in their own. */
export interface Clock {
  /** Nanoseconds since an arbitrary start; never goes back and is not moved by NTP steps. */
  monotonicNs(): bigint;
  /** The same in milliseconds, with a fraction. */
  monotonicMs(): number;
  /** Unix seconds by the wall clock, which may be wrong: it never decides acceptance. */
  wallSeconds(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = {
  monotonicNs: () => process.hrtime.bigint(),
  monotonicMs: () => performance.now(),
  wallSeconds: () => Math.floor(Date.now() / 1000),
};
