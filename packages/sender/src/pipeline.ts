import type { Logger } from '@sluice/base';
import type { SealedBundle, SenderLedger } from '@sluice/ledger';
import { type BlobStore, jsonText, ok, OperationalError, type Result } from '@sluice/ports';
import type { Submission } from '@sluice/sources';
import type { PassOrder } from '@sluice/transfer';
import type { Signer } from '@sluice/trust';
import type { IntakeThread } from './intake/thread.ts';
import { seal } from './seal.ts';
import type { StagingLock } from './staging-lock.ts';

interface SendChannel {
  readonly name: string;
  readonly asid: number;
  readonly signer: Signer;
}

export interface PipelineParts {
  /** Stop 1, in a thread of its own. */
  readonly intake: Pick<IntakeThread, 'collect' | 'receive'>;
  readonly store: BlobStore;
  readonly lock: StagingLock;
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  /** Bundles that may wait for their first pass. */
  readonly queuedBundles: number;
  /** Unix seconds. */
  readonly now: () => number;
  /** Stops 3 to 7: hands a pass to the transmit worker. */
  readonly transmit: (order: PassOrder) => void;
}

/**
 * The order of stops on the staging side.
 *
 *   1 collect   scan, readRelease, collect               (sources, in the intake thread)
 *   2 seal      seal                                     (this package)
 *   3 slice, 4 protect, 5 frame, 6 pace                  (transfer, in the transmit worker)
 *   7 depart                                             (udp, in the transmit worker)
 */
export async function sendInput(
  submission: Submission,
  channel: SendChannel,
  parts: PipelineParts,
): Promise<Result<void>> {
  if (parts.ledger.unsentCount() >= parts.queuedBundles) {
    const what = `${String(parts.queuedBundles)} bundles wait for their first pass; this one is taken as soon as one of them has left`;
    throw new OperationalError('queue-full', what, { retryable: true });
  }
  if (parts.ledger.heads.isUnconfirmed(channel.name)) {
    const what = `the ledger was restored, and nobody has told how far the numbers of channel ${channel.name} went; the receiver's page names the command`;
    throw new OperationalError('ledger-restored', what, { retryable: true });
  }
  return parts.lock.takeIn(() => takeIn(submission, channel, parts));
}

async function takeIn(submission: Submission, channel: SendChannel, parts: PipelineParts): Promise<Result<void>> {
  const collected = await parts.intake.collect(submission);
  if (!collected.ok) return collected;
  const { bytes } = collected.value;
  const sealed = await seal(
    { channel: channel.name, source: `${channel.name}/${submission.id}`, collected: collected.value },
    { store: parts.store, ledger: parts.ledger, signer: channel.signer, now: parts.now },
  );
  const { id, sequence } = sealed;
  const { length: objects } = sealed.objects;
  const name = jsonText(sealed.name);
  parts.logger.info({ bundle: id, channel: channel.name, sequence, name, bytes, objects }, 'sealed');
  // Sealed before a crash, it is on its way since the start.
  if (sealed.state === 'queued' && sealed.passesDone === 0) parts.transmit(passOrder(sealed, channel.asid));
  return ok(undefined);
}

/** The next pass of a bundle. */
export function passOrder(bundle: SealedBundle, asid: number, over: Partial<PassOrder> = {}): PassOrder {
  const contentType = 'application/vnd.dsse.envelope.v1+json';
  return {
    bundle: bundle.id,
    asid,
    pass: bundle.passesDone,
    statements: [
      { digest: bundle.id, size: bundle.envelope.length, contentType },
      { digest: bundle.release, size: bundle.releaseSize, contentType },
    ],
    objects: bundle.objects,
    newness: bundle.sealedAt,
    ...over,
  };
}
