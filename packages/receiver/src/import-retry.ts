import type { Logger } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import { type Asker, type ControlResult, no } from '@sluice/policy';
import { type Digest, isDigest, ok, type Result } from '@sluice/ports';
import type { ImportQueue } from '@sluice/queue';
import type { Outbox } from './outbox.ts';

export interface ImportRetryParts {
  readonly ledger: ReceiverLedger;
  readonly queue: ImportQueue;
  readonly outbox: Pick<Outbox, 'reconcile'>;
  readonly logger: Logger;
  /** Whether the signatures of a published bundle still hold. */
  readonly stands: (bundle: Digest) => Result<undefined>;
}

export interface Retried {
  /** Bundles that are tried now. */
  readonly bundles: readonly Digest[];
  /** How many others wait for their import: in work, or next without it. */
  readonly others: number;
}

/** Where a bundle is that cannot be retried, and what helps there. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  receiving: 'is not complete yet: the next pass or a ticket brings the rest ("sluice ticket")',
  quarantined: 'was refused: "sluice quarantine retry" judges it once more',
  imported: 'is imported',
};

/**
 * `sluice retry`: an import that waits for its next attempt is tried now, and one that the importer gave up is done once more.
 * The importer judges the bundle as it does every time, and names nothing that a later bundle has named since.
 * @throws OperationalError `queue-unavailable`: nothing was changed
 */
export class ImportRetry {
  readonly #parts: ImportRetryParts;

  constructor(parts: ImportRetryParts) {
    this.#parts = parts;
  }

  /** One bundle by id or `CHANNEL/NUMBER`; all that wait without a name. */
  async now(name: unknown, asker: Asker): Promise<ControlResult<Retried>> {
    if (name === undefined) return ok(await this.#waiting(asker));
    const { ledger, queue } = this.#parts;
    const id = isDigest(name) ? name : this.#numbered(name);
    const bundle = id === undefined ? undefined : ledger.bundle(id);
    if (id === undefined || bundle === undefined)
      return no('bundle-unknown', `no bundle here is ${typeof name === 'string' ? name.slice(0, 80) : 'so named'}`);
    if (bundle.state === 'failed') return this.#again(id, asker);
    const elsewhere = ELSEWHERE[bundle.state];
    if (elsewhere !== undefined) return no('retry-needless', `${id} ${elsewhere}`);
    const hurried = await queue.hurry(id);
    this.#done(hurried ? [id] : [], asker);
    return ok({ bundles: hurried ? [id] : [], others: hurried ? 0 : 1 });
  }

  async #waiting(asker: Asker): Promise<Retried> {
    const outbox = this.#parts.ledger.outbox();
    const bundles: Digest[] = [];
    for (const { bundle } of outbox) if (await this.#parts.queue.hurry(bundle)) bundles.push(bundle);
    this.#done(bundles, asker);
    return { bundles, others: outbox.length - bundles.length };
  }

  async #again(id: Digest, asker: Asker): Promise<ControlResult<Retried>> {
    const { ledger, queue, outbox, stands, logger } = this.#parts;
    const standing = stands(id);
    if (!standing.ok) return standing;
    // The old result goes first: while Redis is away nothing changes, and the outbox need not tell it from the new one.
    await queue.remove(id);
    if (!ledger.refusals.again(id, asker))
      return no('retry-needless', `what ${id} brought is not kept any more: submit the release again`);
    logger.warn({ bundle: id, ...asker }, 'the import is done once more');
    await outbox.reconcile();
    return ok({ bundles: [id], others: 0 });
  }

  #done(bundles: readonly Digest[], asker: Asker): void {
    for (const bundle of bundles) {
      this.#parts.ledger.control.done('retry', bundle, asker);
      this.#parts.logger.info({ bundle, ...asker }, 'the import is tried now');
    }
  }

  #numbered(name: unknown): Digest | undefined {
    const [channel = '', number = ''] = typeof name === 'string' ? name.split('/') : [];
    return this.#parts.ledger.takenBy(channel, Number(number));
  }
}
