import type { SealedBundle, SenderLedger } from '@sluice/ledger';
import { gapAfter, isAlive, kindAfter, type PassKind, type Schedule } from '@sluice/transfer';

export interface CarouselOptions {
  /** Gaps in milliseconds. */
  readonly schedule: Schedule;
  readonly channels: readonly string[];
  readonly ledger: SenderLedger;
  /** Hands the next pass of a bundle to the transmit worker. */
  readonly transmit: (bundle: SealedBundle, kind: PassKind) => void;
}

/**
 * Decides when each bundle is sent again: full passes with a gap between the end of one and the start of the next, then ever
 * more seldom repair symbols alone, then its statements, until its time to live ends.
 */
export class Carousel {
  readonly #options: CarouselOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: CarouselOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier run left: bundles with full passes to go, those never sent first; then the rest that lives. */
  resume(): void {
    const { channels, ledger, schedule, transmit } = this.#options;
    for (const bundle of ledger.unfinished()) {
      if (bundle.passesDone >= schedule.passes) continue;
      if (bundle.passesDone === 0 || bundle.state === 'sending') transmit(bundle, 'full');
      else this.#later(bundle.id, schedule.gap);
    }
    // How long ago they were sent last is not known: the first gap comes anew, the long ones after it.
    for (const channel of channels) {
      const oldest = ledger.head(channel).sequence - schedule.timeToLive + 1;
      for (const id of ledger.sentSince(channel, oldest)) this.#later(id, schedule.gap);
    }
  }

  passDone(id: string, pass: number): void {
    const { ledger, schedule } = this.#options;
    const bundle = ledger.passDone(id, pass, schedule.passes);
    if (this.#isWanted(bundle)) this.#later(id, gapAfter(bundle.passesDone, schedule));
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #isWanted({ channel, sequence, passesDone }: SealedBundle): boolean {
    const { ledger, schedule } = this.#options;
    return passesDone < schedule.passes || isAlive(sequence, ledger.head(channel).sequence, schedule);
  }

  #later(id: string, gapMs: number): void {
    const { ledger, schedule, transmit } = this.#options;
    clearTimeout(this.#timers.get(id));
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      const bundle = ledger.bundle(id);
      if (bundle !== undefined && this.#isWanted(bundle)) transmit(bundle, kindAfter(bundle.passesDone, schedule));
    }, gapMs);
    timer.unref();
    this.#timers.set(id, timer);
  }
}
