import type { Logger, Shutdown } from '@sluice/base';
import { startLedgerKeeping } from '@sluice/chassis';
import type { ReceiverLedger } from '@sluice/ledger';
import { loadSigner } from '@sluice/trust';
import type { ReceiverConfig } from './config.ts';

export interface HousekeepingParts {
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
}

/** What is done now and then: checkpoints of the ledger. */
export function startHousekeeping(config: ReceiverConfig, { ledger, logger, shutdown }: HousekeepingParts): void {
  const { checkpointKeyFile } = config.ledger;
  const signer = checkpointKeyFile === undefined ? undefined : loadSigner(checkpointKeyFile.text());
  startLedgerKeeping({ ledger, config: config.ledger, signer, logger, shutdown });
}
