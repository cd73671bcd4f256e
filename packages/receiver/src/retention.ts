import type { Logger } from '@sluice/base';
import type { BundleRecord, ReceiverLedger } from '@sluice/ledger';
import type { BlobStore, Digest } from '@sluice/ports';
import { blobsOf, CONTENT, MANIFEST, type Rank, STATEMENT } from './bundle-blobs.ts';
import type { UnderWay } from './open-bundles.ts';

export interface RetentionRules {
  /** A bundle that was imported stays in the store for so long, milliseconds by the local clock. */
  readonly importedForMs: number;
  /** One that an importer gave up. */
  readonly failedForMs: number;
  /** Bytes of the store beyond which imported bundles go, however young they are. */
  readonly storeBytes: number;
}

export interface RetentionParts {
  readonly store: BlobStore;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly rules: RetentionRules;
  readonly open: () => readonly UnderWay[];
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** What one look came to. */
export interface Swept {
  readonly bundles: number;
  readonly blobs: number;
}

const NOTHING: Swept = { bundles: 0, blobs: 0 };

/**
 * Lets the blobs of bundles go that are over: the oldest first, those that were imported before those that an importer gave up. What an open bundle, one that
 * waits for its import, or any other that is kept needs still is never removed; what no bundle names is not ours to remove.
 */
export class Retention {
  readonly #parts: RetentionParts;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
  }

  /** What is too old goes, and more until the store is within its bytes, and smaller by those that its disk is short of. */
  async sweep(short = 0): Promise<Swept> {
    const { store, rules, now } = this.#parts;
    const kept = this.#kept();
    if (kept.length === 0) return NOTHING;
    const age = ({ state }: BundleRecord): number => (state === 'imported' ? rules.importedForMs : rules.failedForMs);
    const old = kept.filter((bundle) => now() - bundle.changed > age(bundle));
    let swept = await this.#drop(old, 'age');
    let usage = await store.usage();
    const target = Math.min(rules.storeBytes, usage - short);
    // Of shared blobs less goes than a bundle has: it is measured anew after each lot.
    for (
      let left = kept.filter((each) => each.state === 'imported' && !old.includes(each));
      usage > target && left.length > 0;
    ) {
      const lot = lotOf(left, usage - target);
      left = left.filter((bundle) => !lot.includes(bundle));
      const { bundles, blobs } = await this.#drop(lot, 'room');
      swept = { bundles: swept.bundles + bundles, blobs: swept.blobs + blobs };
      usage = await store.usage();
    }
    return swept;
  }

  /** Bundles that are over, and whose blobs are there still, oldest first. */
  #kept(): readonly BundleRecord[] {
    const { ledger } = this.#parts;
    return ledger.keeping.inStore().flatMap((id) => ledger.bundle(id) ?? []);
  }

  /** Done again after a crash anywhere: statements go last, and with them what leads to the rest. */
  async #drop(bundles: readonly BundleRecord[], why: 'age' | 'room'): Promise<Swept> {
    if (bundles.length === 0) return NOTHING;
    const { ledger, logger, store } = this.#parts;
    const going = new Map<Digest, Rank>();
    for (const bundle of bundles)
      for (const [digest, rank] of (await blobsOf(bundle, ledger.receipt(bundle.id), store))?.blobs ?? [])
        going.set(digest, rank);
    if (!(await this.#keepNeeded(going, new Set(bundles.map(({ id }) => id))))) return NOTHING;
    for (const rank of [CONTENT, MANIFEST, STATEMENT])
      await store.removeMany([...going].flatMap(([digest, its]) => (its === rank ? [digest] : [])));
    for (const { id } of bundles) ledger.keeping.dropped(id, { why });
    const swept = { bundles: bundles.length, blobs: going.size };
    logger.info({ ...swept, why }, 'old bundles went from the store');
    return swept;
  }

  /** Takes out of `going` what anybody needs; false when that cannot be said of a bundle that waits for its import. */
  async #keepNeeded(going: Map<Digest, Rank>, dropped: ReadonlySet<Digest>): Promise<boolean> {
    const { ledger, logger, store, open } = this.#parts;
    for (const { transport } of open()) {
      const { id, statement } = transport;
      for (const digest of [id, statement.release.digest, ...statement.objects.map((object) => object.digest)])
        going.delete(digest);
    }
    const waiting = [...ledger.inState('receiving'), ...ledger.inState('published'), ...ledger.inState('queued')];
    const over = this.#kept().filter(({ id }) => !dropped.has(id));
    for (const bundle of [...waiting, ...over]) {
      const needed = await blobsOf(bundle, ledger.receipt(bundle.id), store);
      for (const digest of needed?.blobs.keys() ?? []) going.delete(digest);
      const isSure = needed?.whole === true || bundle.state === 'receiving' || over.includes(bundle);
      if (isSure) continue;
      const why = 'nothing goes from the store: what a bundle needs that waits for its import cannot be read';
      logger.warn({ bundle: bundle.id }, why);
      return false;
    }
    return true;
  }
}

/** The oldest bundles that have so many bytes together. */
function lotOf(bundles: readonly BundleRecord[], bytes: number): readonly BundleRecord[] {
  let left = bytes;
  const end = bundles.findIndex((bundle) => (left -= bundle.bytes) <= 0);
  return end === -1 ? bundles : bundles.slice(0, end + 1);
}
