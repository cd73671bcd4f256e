import type { LinkToReceiver } from '@sluice/ports';

/** Objects named at a time. */
const BATCH = 200;
/** How long a queue that is full gets to empty itself. */
const WAIT_MS = 50;

/**
 * Tells the receiver of whole objects. It must hear of each: those that the connection's queue did not take are named again,
 * with all others, as they are to a receiver that connects.
 */
export class Announcer {
  readonly #whole: () => Iterable<LinkToReceiver>;
  readonly #send: (message: LinkToReceiver) => boolean;
  #round = 0;
  #untold = false;

  constructor(whole: () => Iterable<LinkToReceiver>, send: (message: LinkToReceiver) => boolean) {
    this.#whole = whole;
    this.#send = send;
  }

  /** Sends a message; what is no object may be lost. */
  say(message: LinkToReceiver): void {
    if (!this.#send(message) && message.type === 'object') this.#untold = true;
  }

  /** Names all whole objects, no faster than they are taken. One that is under way ends when another begins. */
  async announce(): Promise<void> {
    this.#round += 1;
    const mine = this.#round;
    this.#untold = false;
    let said = 0;
    for (const message of [...this.#whole()]) {
      while (this.#round === mine && !this.#send(message)) await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      if (this.#round !== mine) return;
      said += 1;
      if (said % BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** From time to time: makes up for what was not taken. */
  tick(): void {
    if (this.#untold) void this.announce();
  }
}
