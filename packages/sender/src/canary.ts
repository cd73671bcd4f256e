import { Readable } from 'node:stream';
import type { Logger, Shutdown } from '@sluice/base';
import { schedule } from '@sluice/chassis';
import type { SenderLedger } from '@sluice/ledger';
import { writeSubmitStream, type Intake } from '@sluice/sources';
import type { SenderConfig } from './config.ts';
import type { PipelineParts } from './pipeline.ts';

export interface CanaryParts {
  readonly intakes: ReadonlyMap<string, Intake>;
  readonly ledger: SenderLedger;
  readonly pipeline: PipelineParts;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
}

/**
 * Sends the canary by its schedule: a small bundle whose release was signed once, each time with a transport statement of its
 * own. It goes the way of every submission, so that what it proves holds for all.
 */
export function startCanary(config: SenderConfig, parts: CanaryParts): void {
  const { canary } = config;
  if (canary === undefined) return;
  const { logger, shutdown } = parts;
  const timer = schedule(canary.schedule, () => sendCanary(canary, parts), { name: 'canary', logger });
  shutdown.add('canary', () => timer.stop());
}

async function sendCanary(
  { channel, directory }: NonNullable<SenderConfig['canary']>,
  { intakes, ledger, pipeline, logger }: CanaryParts,
): Promise<void> {
  const intake = intakes.get(channel);
  if (intake === undefined) throw new Error(`there is no channel ${channel}`);
  if (ledger.unfinished().some((bundle) => bundle.channel === channel && bundle.passesDone === 0)) {
    // Nothing leaves, or much is to leave first: one more that waits would tell nothing.
    logger.info({ channel }, 'no canary: bundles of its channel wait for their first pass');
    return;
  }
  const name = `canary-${String(pipeline.now())}`;
  await intake.receive(name, (places, submission) =>
    pipeline.intake.receive(Readable.from(writeSubmitStream([directory])), places, submission),
  );
}
