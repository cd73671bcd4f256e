import { Random } from '../../packages/testkit/src/random.ts';

/** What a bad link does to datagrams. Probabilities are per datagram, 0 to 1. */
export interface FaultOptions {
  readonly seed: number;
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  /** A reordered datagram comes after 1 to so many later ones. */
  readonly distance: number;
  /** One bit is turned over. */
  readonly corrupt: number;
  /** That an outage begins. */
  readonly burst: number;
  /** Datagrams lost in an outage. */
  readonly burstLength: number;
}

/** Applies faults to a stream of datagrams; one seed makes the same faults at the same places again. */
export class Faults {
  readonly counts = { received: 0, lost: 0, bursts: 0, duplicated: 0, reordered: 0, corrupted: 0, forwarded: 0 };
  readonly #options: FaultOptions;
  readonly #forward: (datagram: Uint8Array) => void;
  readonly #random: Random;
  /** Held datagrams by the turn in which they go out, modulo the length. */
  readonly #held: Uint8Array[][];
  #burstLeft = 0;

  constructor(options: FaultOptions, forward: (datagram: Uint8Array) => void) {
    this.#options = options;
    this.#forward = forward;
    this.#random = new Random(options.seed);
    this.#held = Array.from({ length: options.distance + 1 }, () => []);
  }

  /** One datagram comes; it may be changed in place, and is ours from now on. */
  take(datagram: Uint8Array): void {
    this.counts.received += 1;
    if (this.#isLost()) this.counts.lost += 1;
    else this.#pass(datagram);
    this.#release(this.counts.received);
  }

  /** Lets everything go that is held back. */
  flush(): void {
    for (let turn = 1; turn <= this.#held.length; turn += 1) this.#release(this.counts.received + turn);
  }

  #isLost(): boolean {
    if (this.#burstLeft === 0 && this.#random.chance(this.#options.burst)) {
      this.counts.bursts += 1;
      this.#burstLeft = this.#options.burstLength;
    }
    if (this.#burstLeft > 0) {
      this.#burstLeft -= 1;
      return true;
    }
    return this.#random.chance(this.#options.loss);
  }

  #pass(datagram: Uint8Array): void {
    const { corrupt, duplicate, reorder, distance } = this.#options;
    if (this.#random.chance(corrupt) && datagram.length > 0) {
      this.counts.corrupted += 1;
      const at = this.#random.below(datagram.length);
      datagram[at] = (datagram[at] ?? 0) ^ (1 << this.#random.below(8));
    }
    const copies = this.#random.chance(duplicate) ? 2 : 1;
    this.counts.duplicated += copies - 1;
    for (let i = 0; i < copies; i += 1) {
      if (distance > 0 && this.#random.chance(reorder)) {
        this.counts.reordered += 1;
        const turn = this.counts.received + 1 + this.#random.below(distance);
        this.#held[turn % this.#held.length]?.push(datagram);
      } else this.#send(datagram);
    }
  }

  #release(turn: number): void {
    for (const datagram of this.#held[turn % this.#held.length]?.splice(0) ?? []) this.#send(datagram);
  }

  #send(datagram: Uint8Array): void {
    this.counts.forwarded += 1;
    this.#forward(datagram);
  }
}
