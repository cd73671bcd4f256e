/** Numbers behind the highest within which one may still come late. */
const TOLERANCE = 4096;
const RING = 2 * TOLERANCE;

export interface SequenceEvents {
  /** So many numbers in a row never came; noticed at `ns`. */
  readonly onBurst: (length: number, ns: number) => void;
}

/** The sequence numbers of one session as they came: what is missing between them, in runs, and what came late. */
export class SequenceWatch {
  readonly #events: SequenceEvents;
  readonly #came = new Uint8Array(RING);
  /** When it was noticed that a number was passed over. */
  readonly #noticed = new Float64Array(RING);
  #highest = 0;
  /** All below is settled. */
  #settled = 0;
  #run = 0;
  #runAt = 0;
  /** Came after a higher one. */
  late = 0;
  /** Came so late that it counts as lost. */
  tooLate = 0;
  count = 0;

  constructor(events: SequenceEvents) {
    this.#events = events;
  }

  /** A number that had not come before. */
  add(sn: number, ns: number): void {
    this.count += 1;
    if (this.#highest === 0) {
      this.#highest = sn;
      this.#settled = sn + 1;
      return;
    }
    if (sn < this.#highest) {
      this.late += 1;
      if (sn < this.#settled) this.tooLate += 1;
      else this.#came[sn % RING] = 1;
      return;
    }
    const gap = sn - this.#highest - 1;
    if (gap >= TOLERANCE) {
      this.#settle(this.#highest + 1);
      if (this.#run === 0) this.#runAt = ns;
      this.#run += gap;
      this.#settled = sn;
    } else {
      for (let lost = this.#highest + 1; lost < sn; lost += 1) {
        this.#came[lost % RING] = 0;
        this.#noticed[lost % RING] = ns;
      }
    }
    this.#came[sn % RING] = 1;
    this.#highest = sn;
    if (sn - TOLERANCE > this.#settled) this.#settle(sn - TOLERANCE);
  }

  /** Nothing more comes. */
  end(): void {
    this.#settle(this.#highest + 1);
    this.#endRun();
  }

  #settle(upTo: number): void {
    for (; this.#settled < upTo; this.#settled += 1) {
      const at = this.#settled % RING;
      if (this.#came[at] === 1) this.#endRun();
      else {
        if (this.#run === 0) this.#runAt = this.#noticed[at] ?? 0;
        this.#run += 1;
      }
    }
  }

  #endRun(): void {
    if (this.#run > 0) this.#events.onBurst(this.#run, this.#runAt);
    this.#run = 0;
  }
}
