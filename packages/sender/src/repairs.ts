import {
  type Gap,
  gapInWords,
  lastOf,
  type ObjectGap,
  parseTicket,
  type TicketRefusal,
  type TicketResult,
  type Verifier,
} from '@sluice/bundle';
import type { Logger } from '@sluice/base';
import { partition } from '@sluice/fec';
import type { Actor, SealedBundle, SealedObject, SenderLedger } from '@sluice/ledger';
import { type Digest, ok, type TicketCode } from '@sluice/ports';
import { type Blocks, isAlive, type PassOrder } from '@sluice/transfer';
import { sha256, sha256Digest } from '@sluice/trust';

export interface RepairParts {
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  /** Keys whose tickets are served, by channel. */
  readonly channels: ReadonlyMap<string, readonly Verifier[]>;
  readonly timeToLive: number;
  /** E and B of this sender. */
  readonly symbolBytes: number;
  readonly maxBlock: number;
  /** A ticket is not served again before so many milliseconds of uptime. */
  readonly againMs: number;
  /** Repairs that may wait. */
  readonly waiting: number;
  /** Milliseconds of uptime. */
  readonly uptime: () => number;
  /** Which of these objects the staging store has no longer as they were. */
  readonly missing: (objects: readonly Pick<SealedObject, 'digest' | 'size'>[]) => Promise<readonly Digest[]>;
  readonly send: (bundle: SealedBundle, over: Partial<PassOrder>) => void;
}

/** What a ticket made the sender do. */
export interface Repair {
  readonly bundle: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly words: readonly string[];
  /** How often this very ticket was served before. */
  readonly before: number;
}

/** Tickets whose last serving is remembered. */
const REMEMBERED = 1000;
/** Objects of a bundle before those that its transport statement lists. */
const STATEMENTS = 2;

const no = (code: TicketCode, detail: string): { readonly ok: false; readonly error: TicketRefusal } => ({
  ok: false,
  error: { code, detail },
});

/** `sluice repair`: sends what a ticket asks for, and nothing else (docs/PROTOCOL.md section 12). */
export class Repairs {
  readonly #parts: RepairParts;
  /** By ticket: when it was served last. */
  readonly #served = new Map<Digest, number>();
  #underWay = 0;

  constructor(parts: RepairParts) {
    this.#parts = parts;
    // How long ago an earlier run served them is not known without a clock: as if just now.
    const now = parts.uptime();
    for (const ticket of parts.ledger.servedTickets(REMEMBERED)) this.#remember(ticket, now);
  }

  /** A repair has left, or failed. */
  ended(): void {
    this.#underWay -= 1;
  }

  async serve(text: string, actor?: Actor): Promise<TicketResult<Repair>> {
    const result = await this.#serve(text, actor);
    if (!result.ok) this.#parts.logger.error({ ...result.error, uid: actor?.uid }, 'ticket refused');
    return result;
  }

  async #serve(text: string, actor: Actor | undefined): Promise<TicketResult<Repair>> {
    const { ledger, logger, missing, send, uptime, waiting } = this.#parts;
    const checked = this.#check(text);
    if (!checked.ok) return checked;
    const { gap, bundle, ticket } = checked.value;
    const { order, wanted } = this.#wanted(gap, bundle);
    const gone = await missing(wanted);
    if (gone.length > 0) {
      return no(
        'ticket-gone',
        `${String(gone.length)} of the objects that it asks for are no longer in the staging store`,
      );
    }
    // Only now, since others were let in meanwhile.
    const soon = this.#tooSoon(ticket);
    if (soon !== undefined) return soon;
    if (this.#underWay >= waiting) return no('ticket-too-soon', `${String(waiting)} repairs wait already`);
    this.#remember(ticket, uptime());
    const words = gapInWords(gap);
    const before = ledger.repairBegun(bundle.id, ticket, words, actor);
    this.#underWay += 1;
    // Symbols that no pass has sent come first, and others than the last time.
    send(bundle, { ...order, kind: 'repair', pass: bundle.passesDone + 1 + before });
    const { channel, sequence, id } = bundle;
    logger.warn({ bundle: id, channel, sequence, ticket, before, words }, 'ticket served');
    return ok({ bundle: id, channel, sequence, words, before });
  }

  /** Everything that needs no look at the store. */
  #check(text: string): TicketResult<{ readonly gap: Gap; readonly bundle: SealedBundle; readonly ticket: Digest }> {
    const { channels, ledger } = this.#parts;
    const read = parseTicket(text, sha256);
    if (!read.ok) return read;
    const { gap, message, signature } = read.value;
    const { channel, sequence } = gap;
    const keys = channels.get(channel);
    if (keys === undefined) return no('ticket-foreign', `this sender has no channel ${channel}`);
    if (keys.length === 0)
      return no('ticket-off', `channel ${channel} has no ticketKeyFiles: its tickets are switched off`);
    if (!keys.some((key) => key.verify(message, signature))) {
      return no('ticket-forged', 'no ticket key of the channel signed it');
    }
    const bundle = ledger.numbered(channel, sequence);
    const fault = bundle === undefined ? 'its channel has no bundle of that number' : this.#beyond(gap, bundle);
    if (bundle === undefined || fault !== undefined) return no('ticket-foreign', fault ?? '');
    const { sequence: head } = ledger.head(channel);
    if (!isAlive(sequence, head, this.#parts)) {
      const { timeToLive } = this.#parts;
      return no(
        'ticket-expired',
        `bundle ${String(sequence)} is ${String(head - sequence)} bundles old, and lives for ${String(timeToLive)}`,
      );
    }
    const ticket = sha256Digest(message);
    return this.#tooSoon(ticket) ?? ok({ gap, bundle, ticket });
  }

  /** What the ticket asks for and the bundle does not have. */
  #beyond({ objects, symbolBytes, maxBlock }: Gap, bundle: SealedBundle): string | undefined {
    if (objects === 'all') return undefined;
    const fault = (each: ObjectGap): boolean => {
      const { blocks } = each;
      const listed = bundle.objects[lastOf(each) - STATEMENTS];
      if (blocks === 'all') return lastOf(each) >= STATEMENTS && listed === undefined;
      const last = blocks.at(-1)?.[1] ?? 0;
      // Blocks by other measures than ours are not counted: all of the object is sent.
      return listed === undefined || (this.#isOurs(symbolBytes, maxBlock) && last >= this.#blocks(listed));
    };
    return objects.some(fault) ? 'it names objects or blocks that its bundle does not have' : undefined;
  }

  #isOurs(symbolBytes: number, maxBlock: number): boolean {
    return symbolBytes === this.#parts.symbolBytes && maxBlock === this.#parts.maxBlock;
  }

  #blocks({ size }: SealedObject): number {
    return partition(size, this.#parts.symbolBytes, this.#parts.maxBlock).blocks;
  }

  #wanted(gap: Gap, bundle: SealedBundle) {
    const statements = [
      { digest: bundle.id, size: bundle.envelope.length },
      { digest: bundle.release, size: bundle.releaseSize },
    ].map((each) => ({ ...each, contentType: 'application/vnd.dsse.envelope.v1+json' as const }));
    if (gap.objects === 'all') return { order: {}, wanted: [...statements, ...bundle.objects] };
    const ours = this.#isOurs(gap.symbolBytes, gap.maxBlock);
    const parts = gap.objects;
    const chosen = parts.flatMap((each) => {
      const ranges: Blocks | undefined = each.blocks === 'all' || !ours ? undefined : each.blocks;
      const [from, end] = [each.object, lastOf(each) + 1].map((object) => Math.max(0, object - STATEMENTS));
      return bundle.objects.slice(from, end).map((listed) => ({ listed, ranges }));
    });
    const named = statements.filter((_, i) => parts.some((each) => each.object <= i && i <= lastOf(each)));
    const objects = chosen.map(({ listed }) => listed);
    const order = { statements: named, objects, blocks: chosen.map(({ ranges }) => ranges) };
    return { order, wanted: [...named, ...objects] };
  }

  #tooSoon(ticket: Digest): { readonly ok: false; readonly error: TicketRefusal } | undefined {
    const { againMs, uptime } = this.#parts;
    const left = (this.#served.get(ticket) ?? -Infinity) + againMs - uptime();
    if (left <= 0) return undefined;
    return no(
      'ticket-too-soon',
      `this ticket was served a moment ago; it may be served again in ${String(Math.ceil(left / 1000))} s`,
    );
  }

  #remember(ticket: Digest, now: number): void {
    this.#served.delete(ticket);
    this.#served.set(ticket, now);
    for (const oldest of this.#served.keys()) {
      if (this.#served.size <= REMEMBERED) break;
      this.#served.delete(oldest);
    }
  }
}
