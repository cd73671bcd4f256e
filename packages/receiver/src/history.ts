import { HISTORY_BYTES, kindOfStatement, parseEnvelope, verifyHistory, type VerifyContext } from '@sluice/bundle';
import type { Logger } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import type { ReceiverToLink } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';
import { liesInSpool, readSpooled } from './spooled.ts';
import { STATEMENT_TYPE } from './statements.ts';

export interface HistoryParts {
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly channels: { readonly get: (name: string) => VerifyContext | undefined };
  readonly toLink: (message: ReceiverToLink) => void;
}

/** The sender's signed lists of its latest bundles (docs/PROTOCOL.md H-1 to H-4): they name what never came. */
export class Histories {
  readonly #parts: HistoryParts;

  constructor(parts: HistoryParts) {
    this.#parts = parts;
  }

  /** Takes a whole object of the spool, if it is a history. False leaves it to others. */
  async take(object: SpooledObject): Promise<boolean> {
    const { ledger, logger, channels, toLink } = this.#parts;
    const { channel, key, digest, contentType, size } = object;
    const context = channels.get(channel);
    if (context === undefined || contentType !== STATEMENT_TYPE || size > HISTORY_BYTES) return false;
    if (!liesInSpool(object, 'whole', logger)) return true;
    // One that cannot be read is a statement like any other to those who try again.
    const bytes = await readSpooled(object.path).catch(() => undefined);
    const envelope = bytes === undefined ? undefined : parseEnvelope(bytes);
    if (bytes === undefined || envelope?.ok !== true || kindOfStatement(envelope.value.payload) !== 'history')
      return false;
    // The signature covers what the list says: the digest of its file does not matter.
    const history = verifyHistory(bytes, context);
    if (history.ok) ledger.recordHistory(channel, history.value.bundles);
    else {
      const { code, detail } = history.error;
      logger.error({ channel, object: digest, code, detail }, 'a history was refused');
    }
    // Not settled: its bytes stay the same until the next bundle, and a ledger that was restored must hear it once more.
    toLink({ type: 'forget', channel, key });
    return true;
  }
}
