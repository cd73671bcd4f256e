import type { Logger } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';

/** A bundle that waits for its import. */
interface Row {
  readonly bundle: Digest;
  readonly queued: boolean;
}

export interface CatchUpParts {
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  /** True once the sender has told since the start how far a channel is. */
  readonly heard: (channel: string) => boolean;
}

/**
 * After the ledger was restored from an older state, Harbor may be further than it. What was imported since comes again, and is imported again: but not before
 * all of it is here, and the latest first, one after the other, so that no tag goes back to an older bundle in between.
 */
export class CatchUp {
  readonly #parts: CatchUpParts;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /** Of the bundles that wait for their import, those that may be imported now. */
  due(rows: readonly Row[]): readonly Row[] {
    const { ledger, logger } = this.#parts;
    const behind = ledger.keeping.behind();
    if (behind.length === 0) return rows;
    const latest = new Set<Digest>();
    for (const channel of behind) {
      if (!this.#isWhole(channel)) continue;
      const waiting = rows
        .flatMap(({ bundle }) => ledger.bundle(bundle) ?? [])
        .filter((each) => each.channel === channel);
      const last = waiting.toSorted((a, b) => b.sequence - a.sequence)[0];
      if (last !== undefined) latest.add(last.id);
      else {
        ledger.keeping.caughtUp(channel, {});
        logger.warn({ channel }, 'the channel is where it was before the ledger was restored');
      }
    }
    const held = new Set(behind);
    return rows.filter(({ bundle }) => latest.has(bundle) || !held.has(ledger.bundle(bundle)?.channel ?? ''));
  }

  #isWhole(channel: string): boolean {
    const { ledger, heard } = this.#parts;
    if (!heard(channel) || ledger.missing(channel, 1).length > 0) return false;
    return !ledger.inState('receiving').some((bundle) => bundle.channel === channel);
  }
}
