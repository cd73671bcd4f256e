import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger, Shutdown } from '@sluice/base';
import { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import type { SenderConfig } from './config.ts';
import type { IntakeThread } from './intake/thread.ts';
import type { Telemetry } from './observe.ts';
import type { PipelineParts } from './pipeline.ts';
import { StagingLock } from './staging-lock.ts';
import { Transmission, unixSeconds } from './transmission.ts';

export interface StartParts {
  readonly config: SenderConfig;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly telemetry: Telemetry;
  readonly configDigest: Digest;
  /** Stop 1, for a staging store. */
  readonly intakeOf: (storeRoot: string) => Pick<IntakeThread, 'collect' | 'receive' | 'missing'>;
}

/** A sender without its ways in and what is shown of it: it sends what its ledger has, and takes inputs by its pipeline. */
export interface Started {
  readonly ledger: SenderLedger;
  readonly transmission: Transmission;
  readonly pipeline: PipelineParts;
  /** Those of these objects that the staging store no longer has. */
  readonly missing: IntakeThread['missing'];
}

export async function startSending(parts: StartParts): Promise<Started> {
  const { config, logger, shutdown, telemetry, configDigest, intakeOf } = parts;
  mkdirSync(config.stateDirectory, { recursive: true, mode: 0o700 });
  const ledger = new SenderLedger(join(config.stateDirectory, 'ledger.sqlite'));
  shutdown.add('ledger', () => {
    ledger.close();
  });
  const storeRoot = join(config.stateDirectory, 'store');
  const store = await openFsStore(storeRoot);
  const intake = intakeOf(storeRoot);
  const missing: Started['missing'] = (objects) => intake.missing(objects);
  const transmission = new Transmission({
    config,
    ledger,
    logger,
    telemetry,
    shutdown,
    storeRoot,
    configDigest,
    missing,
  });
  // What the ledger sealed before a crash may not lie in the store yet.
  for (const bundle of ledger.unfinished()) await store.put(bundle.id, bundle.envelope.length, bundle.envelope);
  transmission.resume();
  const pipeline: PipelineParts = {
    intake,
    store,
    lock: new StagingLock(),
    ledger,
    logger,
    queuedBundles: config.limits.queuedBundles,
    now: unixSeconds,
    transmit: ({ bundle }) => {
      transmission.send(bundle as Digest);
    },
  };
  return { ledger, transmission, pipeline, missing };
}
