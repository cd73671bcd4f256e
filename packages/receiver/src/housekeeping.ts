import type { Logger, Shutdown } from '@sluice/base';
import { startLedgerKeeping } from '@sluice/chassis';
import type { ReceiverLedger } from '@sluice/ledger';
import type { BlobStore } from '@sluice/ports';
import { loadSigner } from '@sluice/trust';
import type { ReceiverConfig } from './config.ts';
import type { ReceiverPipeline } from './pipeline.ts';
import { Quarantine } from './quarantine.ts';
import { Retention } from './retention.ts';

/** How often it is looked for what is too old to stay. */
const SWEEP_MS = 3_600_000;

export const openQuarantine = ({ quarantineDirectory, ...config }: ReceiverConfig): Quarantine =>
  new Quarantine(quarantineDirectory, {
    bundles: config.quarantineBundles,
    bytes: config.quarantineBytes,
    forMs: config.quarantineFor,
  });

export interface HousekeepingParts {
  readonly store: BlobStore;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly pipeline: ReceiverPipeline;
}

/** What is done now and then: old bundles out of the store, checkpoints of the ledger. */
export function startHousekeeping(
  config: ReceiverConfig,
  { store, ledger, logger, shutdown, pipeline }: HousekeepingParts,
): void {
  const { importedFor: importedForMs, failedFor: failedForMs, storeBytes } = config.retention;
  const rules = { importedForMs, failedForMs, storeBytes };
  const retention = new Retention({ store, ledger, logger, rules, open: () => pipeline.open, now: Date.now });
  const sweep = (): Promise<void> =>
    pipeline.alone(async () => {
      try {
        await retention.sweep();
      } catch (error) {
        const { code } = error as { readonly code?: unknown };
        if (typeof code !== 'string') throw error;
        logger.error({ err: error, code }, 'old bundles could not be taken out of the store; it is tried again');
      }
    });
  const timer = setInterval(() => void sweep(), SWEEP_MS);
  shutdown.add('retention', () => {
    clearInterval(timer);
  });
  const { checkpointKeyFile } = config.ledger;
  const signer = checkpointKeyFile === undefined ? undefined : loadSigner(checkpointKeyFile.text());
  startLedgerKeeping({ ledger, config: config.ledger, signer, logger, shutdown });
}
