import { ENVELOPE_BYTES, parseEnvelope, parseRelease } from '@sluice/bundle';
import type { Logger } from '@sluice/base';
import type { SealedBundle, SenderLedger } from '@sluice/ledger';
import { type BlobStore, ok, OperationalError, type Result } from '@sluice/ports';
import { collect, readRelease, scanDirectory, type ScanLimits, type Submission } from '@sluice/sources';
import type { PassOrder } from '@sluice/transfer';
import type { Signer } from '@sluice/trust';
import { seal } from './seal.ts';

export interface PipelineParts {
  readonly store: BlobStore;
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  readonly scanLimits: ScanLimits;
  readonly bundleBytes: number;
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
 *   1 collect   scanDirectory, readRelease, collect     (sources)
 *   2 seal      seal                                     (this package)
 *   3 slice, 4 protect, 5 frame, 6 pace                  (transfer, in the transmit worker)
 *   7 depart                                             (udp, in the transmit worker)
 */
export async function sendInput(
  submission: Submission,
  channel: { readonly name: string; readonly asid: number; readonly signer: Signer },
  parts: PipelineParts,
): Promise<Result<void>> {
  if (parts.ledger.unsentCount() >= parts.queuedBundles) {
    const what = `${String(parts.queuedBundles)} bundles wait for their first pass; this one is taken as soon as one of them has left`;
    throw new OperationalError('queue-full', what, { retryable: true });
  }
  const scan = await scanDirectory(submission.directory, parts.scanLimits);
  if (!scan.ok) return scan;
  try {
    const releaseEnvelope = await readRelease(scan.value, ENVELOPE_BYTES);
    if (!releaseEnvelope.ok) return releaseEnvelope;
    const envelope = parseEnvelope(releaseEnvelope.value);
    if (!envelope.ok) return envelope;
    const release = parseRelease(envelope.value.payload);
    if (!release.ok) return release;
    const collected = await collect(scan.value, release.value.artifacts, parts.store, {
      bundleBytes: parts.bundleBytes,
    });
    if (!collected.ok) return collected;
    const sealed = await seal(
      {
        channel: channel.name,
        source: `${channel.name}/${submission.id}`,
        releaseEnvelope: releaseEnvelope.value,
        release: release.value,
        collected: collected.value,
      },
      { store: parts.store, ledger: parts.ledger, signer: channel.signer, now: parts.now },
    );
    const { id, sequence } = sealed;
    const bytes = collected.value.bytes;
    parts.logger.info({ bundle: id, channel: channel.name, sequence, bytes, objects: sealed.objects.length }, 'sealed');
    if (sealed.passesDone === 0) parts.transmit(passOrder(sealed, channel.asid));
    return ok(undefined);
  } finally {
    await scan.value.root.close();
  }
}

/** The next pass of a bundle. */
export function passOrder(bundle: SealedBundle, asid: number): PassOrder {
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
  };
}
