import type { Logger } from '@sluice/base';
import type { MissingBundle, ReceiverLedger } from '@sluice/ledger';
import { type Digest, jsonText } from '@sluice/ports';

/** Missing sequence numbers named of one channel. */
export const MISSING_SHOWN = 100;

/** Which bundles of each channel have not come, and a line in the log whenever that changes. */
export class MissingBundles {
  readonly #ledger: ReceiverLedger;
  readonly #logger: Logger;
  readonly #onNamed: (channel: string, bundle: Digest) => void;
  /** By channel: what the log has named, with the id that it knew. */
  readonly #named = new Map<string, ReadonlyMap<number, MissingBundle>>();

  /** @param onNamed the id of a missing bundle is known: what link took of it in another life of the ledger is wanted once more. */
  constructor(
    ledger: ReceiverLedger,
    logger: Logger,
    onNamed: (channel: string, bundle: Digest) => void = () => undefined,
  ) {
    this.#ledger = ledger;
    this.#logger = logger;
    this.#onNamed = onNamed;
  }

  of(channel: string): readonly MissingBundle[] {
    return this.#ledger.missingBundles(channel, MISSING_SHOWN);
  }

  /** Names what is newly missing, what has got its name since, and what has come after all. */
  look(channel: string): void {
    const before = this.#named.get(channel) ?? new Map<number, MissingBundle>();
    const now = new Map(this.of(channel).map((bundle) => [bundle.sequence, bundle]));
    for (const [sequence, bundle] of now) {
      const known = before.get(sequence);
      if (known !== undefined && known.bundle === bundle.bundle) continue;
      const { bundle: id, name, bytes } = bundle;
      if (id !== undefined) this.#onNamed(channel, id);
      const release = name === undefined ? undefined : jsonText(name);
      this.#logger.warn(
        { channel, sequence, bundle: id, release, bytes },
        known === undefined
          ? 'a bundle is missing: the sender tells of it, and its statement has not come'
          : 'the missing bundle has a name',
      );
    }
    for (const sequence of before.keys()) {
      if (!now.has(sequence)) this.#logger.info({ channel, sequence }, 'a bundle is missing no longer');
    }
    this.#named.set(channel, now);
  }
}
