import { encodeTicket } from '@sluice/bundle';
import { type Digest, OperationalError } from '@sluice/ports';
import { sha256 } from '@sluice/trust';
import { isFault } from './disk.ts';
import { KEYS } from './keys.ts';
import type { ProcessName } from './plan.ts';
import type { World } from './world.ts';

const S = 1e9;
/** How long a person takes from one side to the other, and how often nobody is found there. */
const WALK_NS = 2 * S;
const TRIES = 10;

/** What becomes of a ticket on its way: a digit is misread, or somebody without the key makes one. */
type Carried = 'honest' | 'misread' | 'forged';

/** Refusals that a ticket never gets which was carried as it was issued. */
const NEVER: readonly string[] = ['ticket-typing', 'ticket-malformed', 'ticket-forged', 'ticket-off'];

/** The person who has tickets made on the isolated side and types them in on the staging side. */
export class Operator {
  readonly counts = {
    'tickets.issued': 0,
    'tickets.served': 0,
    'tickets.refused': 0,
    'tickets.misread': 0,
    'tickets.forged': 0,
  };
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Has a ticket made for each bundle that is not whole, and carries it over. */
  repair(): void {
    this.#on('receiver', () => this.#ask());
  }

  #on(name: ProcessName, deed: () => Promise<void>, tries = TRIES): void {
    const { kernel } = this.#world;
    const process = this.#world.processes().find((each) => each.name === name && each.alive);
    if (process !== undefined) kernel.after(0, process, () => void this.#tried(deed));
    else if (tries > 0) kernel.after(S, undefined, () => this.#on(name, deed, tries - 1));
  }

  /** A daemon tells the operator of what the world makes fail, and goes on. */
  async #tried(deed: () => Promise<void>): Promise<void> {
    try {
      await deed();
    } catch (error) {
      if (!(error instanceof OperationalError) && !isFault(error)) throw error;
      this.#world.say('OPERATOR', `told: ${(error as Error).message}`);
    }
  }

  async #ask(): Promise<void> {
    const { checker, running } = this.#world;
    const { receiver } = running;
    for (const { channel, sequence } of receiver?.gaps.list() ?? []) {
      const name = `${channel}/${String(sequence)}`;
      const draft = await receiver?.tickets.draft(name);
      if (draft?.ok !== true) continue;
      const issued = await receiver?.tickets.issue(name, draft.value.draft);
      if (issued?.ok !== true) continue;
      const { ticket } = issued.value;
      this.counts['tickets.issued'] += 1;
      const again = await receiver?.tickets.issue(name, draft.value.draft);
      if (again?.ok === true && again.value.ticket !== ticket)
        checker.broken('one gap has one ticket', `two tickets of ${name} differ`);
      this.#carry(ticket, channel, sequence);
    }
  }

  #carry(ticket: string, channel: string, sequence: number): void {
    const { kernel } = this.#world;
    const { random } = kernel;
    const how: Carried = random.chance(0.15) ? 'misread' : random.chance(0.1) ? 'forged' : 'honest';
    if (how !== 'honest') this.counts[`tickets.${how}`] += 1;
    const typed =
      how === 'honest' ? ticket : how === 'misread' ? misread(ticket, random.unit()) : forged(channel, sequence);
    kernel.after(random.unit() * WALK_NS, undefined, () => {
      this.#on('sender', () => this.#serve(typed, how, channel, sequence));
    });
  }

  async #serve(typed: string, how: Carried, channel: string, sequence: number): Promise<void> {
    const { checker, running, calm } = this.#world;
    const { sender } = running;
    if (sender === undefined) return;
    const { repairs } = sender.transmission;
    const served = await repairs.serve(typed);
    this.counts[served.ok ? 'tickets.served' : 'tickets.refused'] += 1;
    if (served.ok && how !== 'honest')
      checker.broken('only what was issued is served', `a ${how} ticket of ${channel}/${String(sequence)}`);
    if (served.ok || how !== 'honest') return;
    const { code } = served.error;
    if (NEVER.includes(code))
      checker.broken('what was issued can be served', `${channel}/${String(sequence)}: ${code}`);
    // Too old for tickets: the bundle is sent again, as it was handed in.
    const id = sender.ledger.numbered(channel, sequence)?.id;
    if (calm && code === 'ticket-expired' && id !== undefined) sender.transmission.send(id satisfies Digest);
  }
}

/** One digit is another. */
function misread(ticket: string, unit: number): string {
  const digits = [...ticket.matchAll(/\d/g)];
  const { index = 0, 0: digit = '0' } = digits[Math.floor(unit * digits.length)] ?? {};
  return `${ticket.slice(0, index)}${String((Number(digit) + 1) % 10)}${ticket.slice(index + 1)}`;
}

const forged = (channel: string, sequence: number): string =>
  encodeTicket(
    { channel, sequence, symbolBytes: 0, maxBlock: 0, objects: 'all' },
    (message) => KEYS.stranger.signer.sign(message),
    sha256,
  );
