import { statfsSync } from 'node:fs';
import type { Logger, Shutdown } from '@sluice/base';
import type { SenderLedger, StagedBundle } from '@sluice/ledger';
import type { BlobStore, Digest } from '@sluice/ports';
import { isAlive } from '@sluice/transfer';
import type { StagingLock } from './staging-lock.ts';

export interface StagingRules {
  /** The content of a bundle past its time to live stays for so long after its seal, milliseconds by the local clock. */
  readonly storeForMs: number;
  /** Bytes beyond which it goes, however young. */
  readonly storeBytes: number;
  /** Bundles that come after one until it is sent no more. */
  readonly timeToLive: number;
}

export interface StagingRetentionParts {
  readonly ledger: SenderLedger;
  readonly store: BlobStore;
  readonly lock: StagingLock;
  readonly logger: Logger;
  readonly rules: StagingRules;
  /** Bundles of which something is leaving. */
  readonly moving: () => Iterable<string>;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** Lets the content of bundles go that are sent no more. What the carousel or a ticket may still ask for is never removed. */
export class StagingRetention {
  readonly #parts: StagingRetentionParts;

  constructor(parts: StagingRetentionParts) {
    this.#parts = parts;
  }

  /** What is too old goes, and more until the store is within its bytes, and smaller by those that its disk is short of. Gives the bundles that went. */
  sweep(short = 0): Promise<number> {
    return this.#parts.lock.alone(async () => {
      const { rules, store, now } = this.#parts;
      const over = this.#over();
      const old = over.filter(({ sealedAt }) => now() - sealedAt > rules.storeForMs);
      let gone = await this.#drop(old, 'age');
      let usage = await store.usage();
      const target = Math.min(rules.storeBytes, usage - short);
      for (let left = over.filter((bundle) => !old.includes(bundle)); usage > target && left.length > 0;) {
        const lot = lotOf(left, usage - target);
        left = left.filter((bundle) => !lot.includes(bundle));
        gone += await this.#drop(lot, 'room');
        usage = await store.usage();
      }
      return gone;
    });
  }

  /** Bundles that are sent no more, oldest first. */
  #over(): readonly StagedBundle[] {
    const { ledger, rules, moving } = this.#parts;
    const heads = new Map<string, number>();
    const headOf = (channel: string): number => {
      const head = heads.get(channel) ?? ledger.head(channel).sequence;
      heads.set(channel, head);
      return head;
    };
    const leaving = new Set(moving());
    return ledger
      .staged()
      .filter(
        ({ id, state, channel, sequence }) =>
          state === 'sent' && !leaving.has(id) && !isAlive(sequence, headOf(channel), rules),
      );
  }

  /** The ledger knows what is in it: done again after a crash anywhere. */
  async #drop(bundles: readonly StagedBundle[], why: 'age' | 'room'): Promise<number> {
    if (bundles.length === 0) return 0;
    const { ledger, store, logger } = this.#parts;
    const dropped = new Set(bundles.map(({ id }) => id));
    const going = new Set(bundles.flatMap(contentOf));
    for (const bundle of ledger.staged()) {
      if (!dropped.has(bundle.id)) for (const digest of contentOf(bundle)) going.delete(digest);
    }
    await store.removeMany([...going]);
    ledger.dropped([...dropped], why);
    logger.info(
      { bundles: bundles.length, blobs: going.size, why },
      'bundles that are sent no more went from the staging store',
    );
    return bundles.length;
  }
}

const contentOf = ({ id, release, objects }: StagedBundle): readonly Digest[] => [
  ...objects.map(({ digest }) => digest),
  release,
  id,
];

/** The oldest bundles that have so many bytes together. */
function lotOf(bundles: readonly StagedBundle[], bytes: number): readonly StagedBundle[] {
  let left = bytes;
  const end = bundles.findIndex((bundle) => (left -= bundle.bytes) <= 0);
  return end === -1 ? bundles : bundles.slice(0, end + 1);
}

const SWEEP_MS = 3_600_000;
const DISK_MS = 60_000;

/** Sweeps now and then, and when the disk is short of what must be free. */
export function startRetention(
  parts: StagingRetentionParts & { readonly shutdown: Shutdown; readonly directory: string; readonly diskFree: number },
): void {
  const { logger, shutdown, directory, diskFree } = parts;
  const retention = new StagingRetention(parts);
  const sweep = async (short?: number): Promise<void> => {
    try {
      await retention.sweep(short);
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (typeof code !== 'string') throw error;
      logger.error({ err: error, code }, 'the staging store could not be swept; it is tried again');
    }
  };
  const look = (): void => {
    const { bavail, bsize } = statfsSync(directory);
    if (bavail * bsize < diskFree) void sweep(diskFree - bavail * bsize);
  };
  const timers = [setInterval(() => void sweep(), SWEEP_MS), setInterval(look, DISK_MS)];
  shutdown.add('retention', () => {
    for (const timer of timers) clearInterval(timer);
  });
}
