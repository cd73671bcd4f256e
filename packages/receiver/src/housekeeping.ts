import { statfsSync } from 'node:fs';
import type { Logger, Shutdown } from '@sluice/base';
import { startLedgerKeeping } from '@sluice/chassis';
import type { ReceiverLedger } from '@sluice/ledger';
import type { BlobStore } from '@sluice/ports';
import { loadSigner } from '@sluice/trust';
import type { ReceiverConfig } from './config.ts';
import type { LinkState } from './link-state.ts';
import type { ReceiverPipeline } from './pipeline.ts';
import { Quarantine } from './quarantine.ts';
import { Retention } from './retention.ts';
import type { Places, Space } from './room.ts';

/** How often it is looked for bundles that wait for room, and for what is too old to stay. */
const ROOM_MS = 5000;
const SWEEP_MS = 3_600_000;
/** For want of room it is swept no oftener than this. */
const AGAIN_MS = 60_000;

export const openQuarantine = ({ quarantineDirectory, ...config }: ReceiverConfig): Quarantine =>
  new Quarantine(quarantineDirectory, {
    bundles: config.quarantineBundles,
    bytes: config.quarantineBytes,
    forMs: config.quarantineFor,
  });

/** How much room there is: in the spool by what link says, in the store by its disk. A bucket has as much as it is given. */
export function placesOf(config: ReceiverConfig, link: LinkState, onShort: (bytes: number) => void): Places {
  const { store, retention, health } = config;
  return {
    spool: () => {
      const { spoolLimit: limit, spoolRoom: free } = link.numbers;
      return limit === undefined || free === undefined ? undefined : { limit, free };
    },
    store: () => (store.type === 'fs' ? spaceAt(store.directory, health.diskFree / 10) : undefined),
    came: (digest) => link.share(digest),
    onShort,
    stalledMs: retention.stalledFor,
  };
}

/** A little stays free in any case. */
function spaceAt(path: string, spared: number): Space | undefined {
  try {
    const { bavail, blocks, bsize } = statfsSync(path);
    return { limit: blocks * bsize - spared, free: bavail * bsize - spared };
  } catch {
    return undefined;
  }
}

export interface HousekeepingParts {
  readonly store: BlobStore;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly pipeline: ReceiverPipeline;
}

/** What is done now and then: room for bundles that wait, old bundles out of the store, checkpoints of the ledger. */
export function startHousekeeping(
  config: ReceiverConfig,
  { store, ledger, logger, shutdown, pipeline }: HousekeepingParts,
): { readonly makeRoom: (bytes: number) => Promise<void> } {
  const { importedFor: importedForMs, failedFor: failedForMs, storeBytes } = config.retention;
  const rules = { importedForMs, failedForMs, storeBytes };
  const retention = new Retention({ store, ledger, logger, rules, open: () => pipeline.open, now: Date.now });
  let sweptAt = -Infinity;
  const sweep = (short?: number): Promise<void> =>
    pipeline.alone(async () => {
      sweptAt = performance.now();
      try {
        await retention.sweep(short);
      } catch (error) {
        const { code } = error as { readonly code?: unknown };
        if (typeof code !== 'string') throw error;
        logger.error({ err: error, code }, 'old bundles could not be taken out of the store; it is tried again');
      }
    });
  const makeRoom = async (bytes: number): Promise<void> => {
    if (performance.now() - sweptAt >= AGAIN_MS) await sweep(bytes);
  };
  const timers = [setInterval(() => void pipeline.makeRoom(), ROOM_MS), setInterval(() => void sweep(), SWEEP_MS)];
  shutdown.add('housekeeping', () => {
    for (const timer of timers) clearInterval(timer);
  });
  const { checkpointKeyFile } = config.ledger;
  const signer = checkpointKeyFile === undefined ? undefined : loadSigner(checkpointKeyFile.text());
  startLedgerKeeping({ ledger, config: config.ledger, signer, logger, shutdown });
  return { makeRoom };
}
