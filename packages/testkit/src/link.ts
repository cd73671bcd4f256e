import type { Random } from './random.ts';

/** What the simulated fibre does to datagrams. All probabilities are per datagram. */
export interface LinkFaults {
  readonly loss: number;
  readonly duplicate: number;
  /** Probability that a datagram is held back, by up to `reorderDistance` later ones. */
  readonly reorder: number;
  readonly reorderDistance: number;
  readonly corrupt: number;
  readonly truncate: number;
  /** An outage of `outageNs` begins every `outageEveryNs`; 0 for none. */
  readonly outageEveryNs: number;
  readonly outageNs: number;
}

export const CLEAN: LinkFaults = {
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderDistance: 0,
  corrupt: 0,
  truncate: 0,
  outageEveryNs: 0,
  outageNs: 0,
};

/** A one-way link in memory: what is sent at a time comes out, or does not, in an order the seed decides. */
export class SimulatedLink {
  readonly counts = { sent: 0, lost: 0, duplicated: 0, reordered: 0, corrupted: 0, truncated: 0, delivered: 0 };
  readonly #faults: LinkFaults;
  readonly #random: Random;
  readonly #deliver: (datagram: Uint8Array, now: number) => void;
  readonly #held: { readonly datagram: Uint8Array; readonly after: number }[] = [];

  constructor(faults: LinkFaults, random: Random, deliver: (datagram: Uint8Array, now: number) => void) {
    this.#faults = faults;
    this.#random = random;
    this.#deliver = deliver;
  }

  send(datagram: Uint8Array, now: number): void {
    const { counts } = this;
    counts.sent += 1;
    if (this.#out(now) || this.#random.chance(this.#faults.loss)) counts.lost += 1;
    else this.#pass(this.#damaged(datagram), now);
    this.#release(now, counts.sent);
  }

  /** Lets out what was held back. */
  flush(now: number): void {
    this.#release(now, Infinity);
  }

  #out(now: number): boolean {
    const { outageEveryNs, outageNs } = this.#faults;
    return outageEveryNs > 0 && now % outageEveryNs < outageNs;
  }

  #damaged(datagram: Uint8Array): Uint8Array {
    const copy = datagram.slice();
    if (this.#random.chance(this.#faults.corrupt)) {
      this.counts.corrupted += 1;
      const at = this.#random.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << this.#random.below(8));
    }
    if (!this.#random.chance(this.#faults.truncate)) return copy;
    this.counts.truncated += 1;
    return copy.subarray(0, this.#random.below(copy.length));
  }

  #pass(datagram: Uint8Array, now: number): void {
    const { reorder, reorderDistance, duplicate } = this.#faults;
    const copies = this.#random.chance(duplicate) ? 2 : 1;
    this.counts.duplicated += copies - 1;
    for (let i = 0; i < copies; i += 1) {
      if (this.#random.chance(reorder)) {
        this.counts.reordered += 1;
        this.#held.push({ datagram, after: this.counts.sent + 1 + this.#random.below(reorderDistance) });
      } else this.#hand(datagram, now);
    }
  }

  #release(now: number, sent: number): void {
    for (let i = this.#held.length - 1; i >= 0; i -= 1) {
      const held = this.#held[i];
      if (held === undefined || held.after > sent) continue;
      this.#held.splice(i, 1);
      this.#hand(held.datagram, now);
    }
  }

  #hand(datagram: Uint8Array, now: number): void {
    this.counts.delivered += 1;
    this.#deliver(datagram, now);
  }
}
