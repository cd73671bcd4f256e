import type { Logger } from '@sluice/base';
import type { AskRoutes } from '@sluice/chassis';
import type { SenderLedger } from '@sluice/ledger';
import { isDigest } from '@sluice/ports';
import type { SenderConfig } from './config.ts';

const no = (detail: string) => ({ ok: false, error: { code: 'not-restored', detail } }) as const;

/** How far the numbers of a channel went before the ledger was restored, by the receiver's word. Inputs go on from there. */
export const restoredRoutes = ({ channels }: SenderConfig, ledger: SenderLedger, logger: Logger): AskRoutes => ({
  '/v1/restored': {
    reason: 'free',
    answer: ({ channel, sequence, head = null }, asker) => {
      if (typeof channel !== 'string' || !channels.some(({ name }) => name === channel))
        return no('the channel is none of this sender');
      if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 0)
        return no('that is no number of a bundle');
      if (sequence > 0 ? !isDigest(head) : head !== null)
        return no('that is not the id of the bundle with this number');
      const now = ledger.heads.confirm(channel, { sequence, id: isDigest(head) ? head : null }, asker);
      logger.warn(
        { channel, told: sequence, ...now, ...asker },
        'the numbers of the channel are confirmed: inputs go on',
      );
      return { ok: true, value: { channel, ...now } };
    },
  },
});
