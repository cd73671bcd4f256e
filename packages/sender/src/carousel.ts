import type { SealedBundle, SenderLedger } from '@sluice/ledger';

export interface CarouselOptions {
  readonly passes: number;
  readonly gapMs: number;
  readonly ledger: SenderLedger;
  /** Hands the next pass of a bundle to the transmit worker. */
  readonly transmit: (bundle: SealedBundle) => void;
}

/** Decides when each bundle is sent again: pass p + 1 begins `gap` after pass p ended, up to `passes` of them. */
export class Carousel {
  readonly #options: CarouselOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: CarouselOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier run left: bundles with passes to go, those never sent first. */
  resume(): void {
    const { ledger, transmit, passes } = this.#options;
    for (const bundle of ledger.unfinished()) {
      if (bundle.passesDone >= passes) continue;
      if (bundle.passesDone === 0 || bundle.state === 'sending') transmit(bundle);
      else this.#later(bundle.id);
    }
  }

  passDone(id: string, pass: number): void {
    const bundle = this.#options.ledger.passDone(id, pass, this.#options.passes);
    if (bundle.passesDone < this.#options.passes) this.#later(id);
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #later(id: string): void {
    clearTimeout(this.#timers.get(id));
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      const bundle = this.#options.ledger.bundle(id);
      if (bundle !== undefined) this.#options.transmit(bundle);
    }, this.#options.gapMs);
    timer.unref();
    this.#timers.set(id, timer);
  }
}
