import type { Logger } from '@sluice/base';
import { parseReceipt, type Verifier } from '@sluice/bundle';
import type { Actor, ReceiverLedger } from '@sluice/ledger';
import { type Digest, OperationalError, type ReceiverAlarm, type Result } from '@sluice/ports';
import { bundleOf, type ImportQueue } from '@sluice/queue';
import { openEnvelope } from '@sluice/trust';
import type { CatchUp } from './catch-up.ts';
import { DAMAGE_CODES } from './mend.ts';

/** Setting of the ledger: whether a person holds imports back. */
export const PAUSED = 'imports-paused';
/** How long a bundle whose result was not believed waits until it is looked at again: doubled each time. */
const DISTRUST_FIRST_MS = 10_000;
const DISTRUST_MAX_MS = 600_000;

export interface OutboxParts {
  readonly ledger: ReceiverLedger;
  readonly queue: ImportQueue;
  readonly logger: Logger;
  /** Keys of the importers. */
  readonly importers: readonly Verifier[];
  /** Keys that count no more. */
  readonly isRevoked?: (key: string) => boolean;
  /** Whether the signatures of a published bundle still hold. */
  readonly stands?: (bundle: Digest) => Result<undefined>;
  /** Authenticated time of the sender of a channel, Unix seconds; undefined while it was not heard. */
  readonly senderSeconds?: (channel: string) => number | undefined;
  /** Something that Redis says is not believed: counted and shown. */
  readonly onAlarm: (code: ReceiverAlarm) => void;
  /** The importer found the store wanting: it must be looked at. */
  readonly onDoubt: (bundle: Digest) => void;
  readonly catchUp: CatchUp;
}

/**
 * Keeps the queue as the ledger says it must be, and takes receipts back. Redis is not trusted: a job that is lost there is
 * queued again, a result counts only with an importer's signature.
 */
export class Outbox {
  readonly #parts: OutboxParts;
  #running: Promise<void> | undefined;
  #wanted = false;
  #unavailable = false;
  /** Withdrawn bundles whose jobs may still wait in the queue. */
  readonly #unwanted: Set<Digest>;
  /** Bundles whose result in the queue was not believed: when they are queued again, waiting longer each time. */
  readonly #distrusted = new Map<Digest, { readonly after: number; readonly wait: number }>();

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#unwanted = new Set(parts.ledger.refusals.unfinished());
  }

  /** True while a person has it so: nothing goes into the queue, until it is told to go on. */
  get paused(): boolean {
    return this.#parts.ledger.control.get(PAUSED) === 'yes';
  }

  pause(paused: boolean, actor: Actor): void {
    const { ledger, logger } = this.#parts;
    ledger.control.set(PAUSED, paused ? 'yes' : 'no', paused ? 'pause' : 'resume', actor);
    logger.warn({ ...actor }, paused ? 'imports are paused' : 'imports go on');
    void this.reconcile();
  }

  /** Takes out what waits for its import and does not hold any more. Its job goes with the next look. */
  withdraw(): Digest[] {
    const { ledger, logger, stands } = this.#parts;
    const withdrawn: Digest[] = [];
    for (const { bundle } of ledger.outbox()) {
      const standing = stands?.(bundle);
      if (standing?.ok !== false || !ledger.refusals.withdraw(bundle, standing.error.code, standing.error.detail))
        continue;
      withdrawn.push(bundle);
      this.#unwanted.add(bundle);
      logger.error({ bundle, code: standing.error.code, detail: standing.error.detail }, 'withdrawn before its import');
    }
    void this.reconcile();
    return withdrawn;
  }

  /** True while Redis does not answer. */
  get unavailable(): boolean {
    return this.#unavailable;
  }

  /** Looks at every bundle without a receipt: queues what is not in the queue, takes results that were missed. One look at a time. */
  reconcile(): Promise<void> {
    this.#wanted = true;
    this.#running ??= this.#rounds().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** A job ended, says Redis. */
  completed(jobId: string, receipt: string): void {
    const bundle = bundleOf(jobId);
    if (bundle === undefined || this.#parts.ledger.bundle(bundle) === undefined) {
      this.#alarm('receipt-forged', { job: jobId }, 'a job of a bundle that was never published ended in the queue');
      return;
    }
    try {
      if (this.#parts.ledger.isUnqueued(bundle)) void this.reconcile();
      else if (!this.#isKnown(bundle, receipt)) this.#take(bundle, receipt);
    } catch (error) {
      // The next look finds the receipt in the queue still.
      if (!(error instanceof OperationalError)) throw error;
      this.#parts.logger.warn({ bundle, code: error.code, err: error }, 'a receipt could not be written down yet');
    }
  }

  /** The result of an earlier import, which is known: the bundle was published again since. */
  #isKnown(bundle: Digest, receipt: string): boolean {
    const known = this.#parts.ledger.receipt(bundle);
    return known !== undefined && Buffer.from(receipt).equals(known);
  }

  async #rounds(): Promise<void> {
    // Whoever asks while a look is under way gets one more.
    while (this.#wanted) {
      this.#wanted = false;
      try {
        const { paused } = this;
        // Redis forgets: it is told each time, once there was a pause.
        if (this.#parts.ledger.control.get(PAUSED) !== undefined) await this.#parts.queue.pause(paused);
        for (const bundle of this.#unwanted) {
          await this.#parts.queue.remove(bundle);
          this.#unwanted.delete(bundle);
        }
        const { catchUp, ledger } = this.#parts;
        for (const { bundle, queued } of catchUp.due(ledger.outbox())) await this.#look(bundle, queued, paused);
        this.#unavailable = false;
      } catch (error) {
        if (!(error instanceof OperationalError)) throw error;
        if (!this.#unavailable)
          this.#parts.logger.warn(
            { code: error.code, err: error },
            'the import queue is unavailable; what is published waits in the outbox',
          );
        this.#unavailable = true;
      }
    }
  }

  async #look(bundle: Digest, queued: boolean, paused: boolean): Promise<void> {
    const { queue, ledger, logger } = this.#parts;
    const distrusted = this.#distrusted.get(bundle);
    if (distrusted !== undefined && performance.now() < distrusted.after) return;
    const { state, receipt } = await queue.status(bundle);
    // A job of before the bundle was published again: it may have met a store that was damaged then.
    if (!queued && state === 'active') return;
    const isStale = !queued || (receipt !== undefined && this.#isKnown(bundle, receipt));
    if (state === 'completed' && receipt !== undefined && !isStale && this.#take(bundle, receipt)) return;
    if (state === 'completed' && !isStale) {
      const wait = Math.min((distrusted?.wait ?? DISTRUST_FIRST_MS / 2) * 2, DISTRUST_MAX_MS);
      this.#distrusted.set(bundle, { after: performance.now() + wait, wait });
      // Where not even its statements can be read, there is no receipt. What Redis says is not believed, but looked into.
      if (receipt?.startsWith('refused ') === true) this.#parts.onDoubt(bundle);
    }
    const wanted = state === 'absent' || state === 'failed' || state === 'completed';
    if (wanted && paused) return;
    if (wanted) {
      await queue.enqueue(bundle, { again: true });
      const { channel, sequence } = ledger.bundle(bundle) ?? {};
      logger.info({ bundle, channel, sequence, again: queued }, 'queued for import');
    }
    if (!queued) ledger.markQueued(bundle);
  }

  /** Takes a receipt if an importer signed it for this bundle. */
  #take(bundle: Digest, text: string): boolean {
    const { ledger, logger, importers } = this.#parts;
    const envelope = Buffer.from(text);
    const { isRevoked = () => false } = this.#parts;
    const opened = openEnvelope(
      envelope,
      importers.filter(({ keyid }) => !isRevoked(keyid)),
    );
    if (!opened.ok)
      return this.#alarm(
        'receipt-malformed',
        { bundle, code: opened.error.code },
        'a result in the queue is no receipt',
      );
    if (opened.value.signer === undefined)
      return this.#alarm('receipt-forged', { bundle }, 'a receipt in the queue is not signed by an importer');
    const receipt = parseReceipt(opened.value.payload);
    if (!receipt.ok)
      return this.#alarm('receipt-malformed', { bundle, code: receipt.error.code }, 'a signed receipt does not parse');
    const { result, code, artifacts, full } = receipt.value;
    if (receipt.value.bundle !== bundle)
      return this.#alarm('receipt-forged', { bundle }, 'a receipt in the queue is of another bundle');
    if (ledger.bundle(bundle)?.state === 'imported') return true;
    const state = result === 'imported' ? 'imported' : 'failed';
    const senderSeconds = this.#parts.senderSeconds?.(receipt.value.channel);
    if (!ledger.recordReceipt(bundle, state, code, envelope, senderSeconds))
      return this.#alarm('receipt-forged', { bundle, result }, 'a receipt is of a bundle that was never published');
    this.#distrusted.delete(bundle);
    const { channel, sequence } = receipt.value;
    if (result === 'imported')
      logger.info({ bundle, channel, sequence, artifacts: full?.artifacts ?? artifacts.length }, 'imported');
    else this.#alarm('import-refused', { bundle, result, code }, 'the importer did not take the bundle');
    if (result !== 'imported' && DAMAGE_CODES.includes(code)) this.#parts.onDoubt(bundle);
    return true;
  }

  #alarm(code: ReceiverAlarm, fields: Readonly<Record<string, unknown>>, message: string): false {
    this.#parts.onAlarm(code);
    this.#parts.logger.error({ ...fields, alarm: code }, message);
    return false;
  }
}
