import type { DatabaseSync } from 'node:sqlite';
import type { Digest } from '@sluice/ports';
import { type Actor, NOBODY } from './control.ts';
import { transaction } from './database.ts';
import type { EventChain } from './events.ts';

export const HEADS_SCHEMA = `CREATE TABLE heads (channel TEXT PRIMARY KEY, sequence INTEGER NOT NULL, id TEXT) STRICT;
  CREATE TABLE unconfirmed (channel TEXT PRIMARY KEY) STRICT;`;

/** Last number and bundle of a channel; 0 and null when there is none. */
export interface Head {
  readonly sequence: number;
  readonly id: Digest | null;
}

/**
 * Where the numbers of a channel go on when they do not follow from the bundles: after the ledger was restored from an older state, numbers were given that it
 * knows nothing of. Until a person has told how far they went, none is given.
 */
export class Heads {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;

  constructor(database: DatabaseSync, events: EventChain) {
    this.#database = database;
    this.#events = events;
  }

  /** Of the bundles and of what was told, the later; told counts where they are equal. */
  of(channel: string): Head {
    const own = this.#database
      .prepare('SELECT sequence, id FROM bundles WHERE channel = ? ORDER BY sequence DESC LIMIT 1')
      .get(channel) as Head | undefined;
    const told = this.#database.prepare('SELECT sequence, id FROM heads WHERE channel = ?').get(channel) as
      Head | undefined;
    if (told === undefined || (own !== undefined && own.sequence > told.sequence))
      return own ?? { sequence: 0, id: null };
    return told;
  }

  /** Channels of which nobody has told yet how far their numbers went. */
  unconfirmed(): string[] {
    const rows = this.#database.prepare('SELECT channel FROM unconfirmed ORDER BY channel').all();
    return (rows as unknown as { channel: string }[]).map(({ channel }) => channel);
  }

  isUnconfirmed(channel: string): boolean {
    return this.#database.prepare('SELECT 1 FROM unconfirmed WHERE channel = ?').get(channel) !== undefined;
  }

  /** The numbers of a channel went so far. One that goes less far than the bundles here changes nothing but that it is confirmed. */
  confirm(channel: string, { sequence, id }: Head, actor: Actor = NOBODY): Head {
    return transaction(this.#database, () => {
      if (sequence >= this.of(channel).sequence && sequence > 0) {
        this.#database
          .prepare(
            `INSERT INTO heads (channel, sequence, id) VALUES (?, ?, ?)
             ON CONFLICT (channel) DO UPDATE SET sequence = excluded.sequence, id = excluded.id`,
          )
          .run(channel, sequence, id);
      }
      this.#database.prepare('DELETE FROM unconfirmed WHERE channel = ?').run(channel);
      const head = this.of(channel);
      const said = { action: 'restored', told: sequence, sequence: head.sequence, id: head.id };
      this.#events.append('head-confirmed', channel, { ...said, ...actor });
      return head;
    });
  }

  /** Within a transaction: from now on each of these must be confirmed. */
  doubt(channels: readonly string[]): void {
    const insert = this.#database.prepare('INSERT OR IGNORE INTO unconfirmed (channel) VALUES (?)');
    for (const channel of channels) insert.run(channel);
  }
}
