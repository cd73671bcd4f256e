import { encodeTicket, fittingGap, type Gap, gapInWords, type TicketRefusal, type TicketResult } from '@sluice/bundle';
import type { Logger } from '@sluice/base';
import type { Actor, ReceiverLedger } from '@sluice/ledger';
import { ok, type TicketCode } from '@sluice/ports';
import { sha256, sha256Digest, type Signer } from '@sluice/trust';
import type { Gaps, Incomplete } from './gaps.ts';

export interface TicketParts {
  readonly gaps: Gaps;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly signer: Signer;
}

/** What a ticket would say, for a person to read before it is issued. */
export interface Draft {
  readonly channel: string;
  readonly sequence: number;
  readonly words: readonly string[];
  /** Names exactly what the words say. */
  readonly draft: string;
}

/** A bundle as an operator names it: its id, its number, or channel and number. */
const NAME = /^(?:([a-z0-9][a-z0-9-]{0,31})\/)?([1-9]\d{0,15})$/;

const no = (code: TicketCode, detail: string): { readonly ok: false; readonly error: TicketRefusal } => ({
  ok: false,
  error: { code, detail },
});

/** `sluice ticket`: first in words, then signed. Every ticket is in the ledger, word for word. */
export class Tickets {
  readonly #parts: TicketParts;

  constructor(parts: TicketParts) {
    this.#parts = parts;
  }

  /** What a ticket for this bundle would say; without a name, for the only one that is not whole. */
  async draft(name?: string): Promise<TicketResult<Draft>> {
    const gap = await this.#gap(name);
    return gap.ok ? ok(draftOf(gap.value)) : gap;
  }

  /** The ticket, if it says what the draft said. */
  async issue(
    name: string | undefined,
    draft: string,
    actor?: Actor,
  ): Promise<TicketResult<{ readonly ticket: string }>> {
    const { ledger, logger, signer } = this.#parts;
    const gap = await this.#gap(name);
    if (!gap.ok) return gap;
    if (draftOf(gap.value).draft !== draft) {
      return no('ticket-changed', 'more of the bundle has come since its gap was shown; look at it again');
    }
    const ticket = encodeTicket(gap.value, (message) => signer.sign(message), sha256);
    const { channel, sequence } = gap.value;
    ledger.ticketIssued(channel, sequence, { ticket, key: signer.keyid }, actor);
    logger.warn({ channel, sequence, bytes: ticket.length, ticket: draft, uid: actor?.uid }, 'ticket issued');
    return ok({ ticket });
  }

  async #gap(name: string | undefined): Promise<TicketResult<Gap>> {
    const found = this.#find(name);
    return found.ok ? ok(fittingGap(await this.#parts.gaps.of(found.value))) : found;
  }

  #find(name: string | undefined): TicketResult<Incomplete> {
    const all = this.#parts.gaps.list();
    const [, channel, number] = NAME.exec(name ?? '') ?? [];
    const fits = all.filter(
      (each) =>
        name === undefined ||
        each.bundle === name ||
        (String(each.sequence) === number && (channel === undefined || each.channel === channel)),
    );
    const [first, ...others] = fits;
    if (first === undefined) {
      return no(
        'ticket-nothing',
        name === undefined ? 'nothing is known to be missing' : 'nothing is known to be missing of this bundle',
      );
    }
    if (others.length === 0) return ok(first);
    const names = fits.slice(0, 20).map((each) => `${each.channel}/${String(each.sequence)}`);
    return no('ticket-nothing', `${String(fits.length)} bundles are not whole; name one: ${names.join(', ')}`);
  }
}

const draftOf = (gap: Gap): Draft => {
  const { channel, sequence } = gap;
  const words = gapInWords(gap);
  return { channel, sequence, words, draft: sha256Digest(Buffer.from(words.join('\n'))) };
};
