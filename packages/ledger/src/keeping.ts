import type { DatabaseSync } from 'node:sqlite';
import type { Digest } from '@sluice/ports';
import { transaction } from './database.ts';
import type { EventChain } from './events.ts';
import type { Head } from './heads.ts';

/** Code of a bundle that is receiving again: it was published, and the store lost some of it before it was imported. */
export const STORE_DAMAGED = 'store-damaged';
/** Code of a bundle whose statements hold, and for which there is no room yet. */
export const WAITING_FOR_ROOM = 'waiting-for-room';
/** Code of a bundle of which nothing came for so long that what had come of it gave way. */
export const GIVEN_UP = 'given-up';

/** Whose blobs were let go, and which channels may have been further before the ledger was restored. */
export const KEEPING_SCHEMA = `CREATE TABLE dropped (bundle TEXT PRIMARY KEY REFERENCES bundles (id)) STRICT;
  CREATE TABLE behind (channel TEXT PRIMARY KEY) STRICT;`;

interface Row {
  readonly state: string;
  readonly code: string;
  readonly detail: string;
}

/** What the receiver keeps of a bundle, and what it lost and wants again. */
export class Keeping {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;
  readonly #now: () => number;

  constructor(database: DatabaseSync, events: EventChain, now: () => number) {
    this.#database = database;
    this.#events = events;
    this.#now = now;
  }

  /**
   * The store has lost something of a published bundle: it is receiving again until that has come. False, and nothing is recorded, when that was known
   * already with the same words.
   */
  reopen(id: Digest, detail: string, body: Readonly<Record<string, unknown>>): boolean {
    return transaction(this.#database, () => {
      const bundle = this.#row(id);
      if (bundle === undefined || bundle.state === 'imported' || bundle.state === 'quarantined')
        throw new Error(`bundle ${id} is ${bundle?.state ?? 'unknown'} and does not wait for its import`);
      if (bundle.state === 'receiving' && bundle.code === STORE_DAMAGED && bundle.detail === detail) return false;
      this.#database.prepare('DELETE FROM outbox WHERE bundle = ?').run(id);
      this.#receiving(id, STORE_DAMAGED, detail);
      this.#events.append('damaged', id, body);
      return true;
    });
  }

  /** What a bundle that is receiving waits for, or that it waits no longer, without a code. Recorded when that changes. */
  hold(id: Digest, code: string, detail: string): void {
    const before = this.#row(id);
    if (before?.state !== 'receiving' || (before.code === code && before.detail === detail)) return;
    transaction(this.#database, () => {
      this.#receiving(id, code, detail);
      if (before.code !== code) this.#events.append('held', id, { code, detail });
    });
  }

  /** True while a bundle is receiving again, since the store lost some of it. */
  isDamaged(id: Digest): boolean {
    const bundle = this.#row(id);
    return bundle?.state === 'receiving' && bundle.code === STORE_DAMAGED;
  }

  /** This ledger is a copy that was restored: each of these channels may have been further. */
  restored(channels: readonly string[], body: Readonly<Record<string, unknown>>): void {
    transaction(this.#database, () => {
      const insert = this.#database.prepare('INSERT OR IGNORE INTO behind (channel) VALUES (?)');
      for (const channel of channels) insert.run(channel);
      this.#events.append('restored', '', body);
    });
  }

  /** Channels that may have been further than this ledger knows, since it was restored. */
  behind(): string[] {
    const rows = this.#database.prepare('SELECT channel FROM behind ORDER BY channel').all();
    return (rows as unknown as { channel: string }[]).map(({ channel }) => channel);
  }

  /** A channel is where it was: all that came since has come again, or a person says that it need not. */
  caughtUp(channel: string, body: Readonly<Record<string, unknown>>): void {
    transaction(this.#database, () => {
      const { changes } = this.#database.prepare('DELETE FROM behind WHERE channel = ?').run(channel);
      if (Number(changes) > 0) this.#events.append('caught-up', channel, body);
    });
  }

  /** Bundles that are over, and whose blobs are in the store still, oldest first. */
  inStore(): Digest[] {
    const query = `SELECT id FROM bundles WHERE state IN ('imported', 'failed')
      AND NOT EXISTS (SELECT 1 FROM dropped WHERE bundle = id) ORDER BY number`;
    return (this.#database.prepare(query).all() as unknown as { id: Digest }[]).map(({ id }) => id);
  }

  /** Its blobs were removed from the store, as far as no other bundle needs them. */
  dropped(id: Digest, body: Readonly<Record<string, unknown>>): void {
    transaction(this.#database, () => {
      this.#database.prepare('INSERT OR IGNORE INTO dropped (bundle) VALUES (?)').run(id);
      this.#events.append('dropped', id, body);
    });
  }

  /** The bundle with the greatest number of a channel, as far as it is known; null where only its number is. */
  headOf(channel: string): Head {
    const taken = this.#database
      .prepare('SELECT sequence, id FROM bundles WHERE channel = ? AND sequence > 0 ORDER BY sequence DESC LIMIT 1')
      .get(channel) as Head | undefined;
    const announced = this.#database
      .prepare('SELECT sequence, head AS id FROM announced WHERE channel = ?')
      .get(channel) as Head | undefined;
    const [first = { sequence: 0, id: null }, second] = [taken, announced].filter((head) => head !== undefined);
    return second !== undefined && second.sequence > first.sequence ? second : first;
  }

  /** The bundle of a number by the word of the one after it, if that came. */
  namedBy(channel: string, sequence: number): Digest | undefined {
    const row = this.#database
      .prepare('SELECT bundle FROM previous WHERE channel = ? AND sequence = ?')
      .get(channel, sequence);
    return (row as { bundle: Digest } | undefined)?.bundle;
  }

  /** Number of the first entry that is about a bundle which is not over; Infinity when there is none. */
  neededFrom(): number {
    const query = `SELECT min(seq) AS seq FROM bundles CROSS JOIN events ON subject = id
      WHERE state IN ('receiving', 'published', 'queued')`;
    return (this.#database.prepare(query).get() as { seq: number | null }).seq ?? Infinity;
  }

  #row(id: Digest): Row | undefined {
    return this.#database.prepare('SELECT state, code, detail FROM bundles WHERE id = ?').get(id) as Row | undefined;
  }

  #receiving(id: Digest, code: string, detail: string): void {
    this.#database
      .prepare(`UPDATE bundles SET state = 'receiving', code = ?, detail = ?, changed = ? WHERE id = ?`)
      .run(code, detail, this.#now(), id);
  }
}
