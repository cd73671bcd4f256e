import { checkChain, checkVersions, type VerifiedTransport } from '@sluice/bundle';
import type { Logger } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import { type Asker, type ControlResult, no } from '@sluice/policy';
import { type Digest, isDigest, jsonText, ok } from '@sluice/ports';
import type { Judge } from './judge/judge.ts';
import type { JudgedRelease } from './judge/messages.ts';
import { chainOf, RETRY_MS } from './pipeline-parts.ts';
import type { ReceiverPipeline } from './pipeline.ts';
import type { Quarantine } from './quarantine.ts';

export interface SecondLookParts {
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly judge: Judge;
  readonly quarantine: Quarantine;
  readonly pipeline: ReceiverPipeline;
  readonly statementBytes: number;
}

/** A refused bundle, as people see it. */
const viewOf = (ledger: ReceiverLedger, id: Digest) => {
  const record = ledger.bundle(id);
  if (record?.state !== 'quarantined') return undefined;
  const { channel, sequence, name, code, detail, changed } = record;
  const at = new Date(changed).toISOString();
  return { bundle: id, channel, sequence, name: jsonText(name), code, detail: jsonText(detail), at };
};

const unknown = (name: unknown) =>
  no('quarantine-unknown', `no bundle ${typeof name === 'string' ? name.slice(0, 80) : ''} is in quarantine`);

/**
 * `sluice quarantine`: refused bundles are listed, shown, and judged once more. There is no way past the judgement: what does not hold by policy and keys of
 * now stays where it is.
 */
export class SecondLook {
  readonly #parts: SecondLookParts;

  constructor(parts: SecondLookParts) {
    this.#parts = parts;
  }

  list(limit: number, before?: number) {
    const { bundles, next } = this.#parts.ledger.list(limit, before, { state: 'quarantined' });
    return { items: bundles.map(({ id }) => viewOf(this.#parts.ledger, id)), next: next ?? null };
  }

  async show(name: unknown): Promise<ControlResult<unknown>> {
    const id = this.#find(name);
    const view = id && viewOf(this.#parts.ledger, id);
    if (id === undefined || view === undefined) return unknown(name);
    const statements = [...(await this.#parts.quarantine.statements(id)).values()].map(({ path }) => path);
    const events = this.#parts.ledger.events.about(id).map(({ seq, time, kind, body }) => ({ seq, time, kind, body }));
    return ok({ ...view, statements, events });
  }

  async retry(name: unknown, asker: Asker): Promise<ControlResult<unknown>> {
    const { ledger, logger } = this.#parts;
    const id = this.#find(name);
    const view = id && viewOf(ledger, id);
    if (id === undefined || view === undefined) return unknown(name);
    const judged = await this.#judge(id, view.channel);
    if (!judged.ok) {
      const { code } = judged.error;
      ledger.control.done('quarantine-retry', id, asker, { code });
      logger.warn({ bundle: id, ...asker, code }, 'still refused');
      return judged;
    }
    const { transport, release } = judged.value;
    const { channel, sequence, previous, release: named, bytes } = transport.statement;
    ledger.refusals.reopen(id, asker);
    if (ledger.bundle(id) === undefined)
      ledger.received({ id, channel, sequence, previous, release: named.digest, bytes }, transport.signer);
    logger.warn({ bundle: id, channel, sequence, ...asker }, 'judged anew: under way again');
    await this.#reopen(transport, release);
    return ok({ ...view, code: '', detail: '', sequence, state: ledger.bundle(id)?.state ?? 'receiving' });
  }

  /** After a start: what was under way again is so still, though its statements lie in quarantine and not in the spool. */
  async resume(): Promise<void> {
    const { ledger, quarantine } = this.#parts;
    for (const { id, channel } of ledger.inState('receiving')) {
      if ((await quarantine.statements(id)).size === 0) continue;
      const judged = await this.#judge(id, channel);
      if (judged.ok) await this.#reopen(judged.value.transport, judged.value.release);
    }
  }

  /** It is under way by the ledger's word: where disk or store fail just now, it is tried again. */
  async #reopen(transport: VerifiedTransport, release: JudgedRelease | undefined): Promise<void> {
    const { ledger, logger, pipeline } = this.#parts;
    try {
      await pipeline.reopen(transport, release);
    } catch (err) {
      const { code } = err as { readonly code?: unknown };
      if (typeof code !== 'string') throw err;
      logger.error({ bundle: transport.id, code, err }, 'the bundle could not be opened again, and it is tried again');
      const again = (): void => {
        // Its statements may have come by the link meanwhile, and the bundle be over.
        if (ledger.bundle(transport.id)?.state === 'receiving') void this.#reopen(transport, release);
      };
      setTimeout(again, RETRY_MS).unref();
    }
  }

  async #judge(
    id: Digest,
    channel: string,
  ): Promise<ControlResult<{ readonly transport: VerifiedTransport; readonly release: JudgedRelease | undefined }>> {
    const { ledger, judge, quarantine, statementBytes } = this.#parts;
    const kept = await quarantine.statements(id);
    const file = kept.get(id);
    if (file === undefined)
      return no('quarantine-unknown', `the statement of ${id} is not kept any more; submit the release again`);
    const first = await judge.any({ ...file, channel }, statementBytes);
    if (first.type === 'refused') return { ok: false, error: first.refusal };
    if (first.type !== 'transport')
      return no('quarantine-unknown', `what is kept of ${id} is damaged, or no transport statement`);
    const { transport } = first;
    const chain = checkChain(transport, chainOf(ledger, channel));
    if (!chain.ok) return chain;
    const named = kept.get(transport.statement.release.digest);
    // One that did not come yet is judged when it does.
    if (named === undefined) return ok({ transport, release: undefined });
    const second = await judge.release({ ...named, channel }, statementBytes, transport);
    if (second.type === 'refused') return { ok: false, error: second.refusal };
    if (second.type !== 'release') return no('quarantine-unknown', `the release that is kept of ${id} is damaged`);
    const versionOf = (type: string, target: string) => ledger.versionOf(channel, type, target);
    const fresh = checkVersions({ artifacts: second.release.versions }, { versionOf });
    return fresh.ok ? ok({ transport, release: second.release }) : fresh;
  }

  /** By id, or by `CHANNEL/NUMBER`. */
  #find(name: unknown): Digest | undefined {
    if (isDigest(name)) return name;
    const [channel = '', number = ''] = typeof name === 'string' ? name.split('/') : [];
    return this.#parts.ledger.takenBy(channel, Number(number));
  }
}
