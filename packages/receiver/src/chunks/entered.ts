import type { Logger } from '@sluice/base';
import type { ClosedLog } from '@sluice/bundle';
import type { ReceiverLedger } from '@sluice/ledger';
import { type Digest, OperationalError } from '@sluice/ports';

/** Enters files of the chunk log in the ledger, in their order. What it cannot take now it takes with the next one. */
export function entered(ledger: ReceiverLedger, logger: Logger): (record: ClosedLog, head: Digest | null) => void {
  const waiting: { readonly record: ClosedLog; readonly head: Digest | null }[] = [];
  return (record, head) => {
    waiting.push({ record, head });
    try {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const { name, digest, under } = next.record;
        ledger.archive.logClosed(name, { digest, head: next.head, ...under });
        waiting.shift();
      }
    } catch (error) {
      if (!(error instanceof OperationalError)) throw error;
      logger.error(
        { code: error.code, err: error, log: record.name },
        'a chunk log cannot be entered in the ledger yet',
      );
    }
  };
}
