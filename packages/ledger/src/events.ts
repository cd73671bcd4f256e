import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { checkpointsIn } from './checkpoints.ts';

/** One entry of the hash chain. */
export interface LedgerEvent {
  readonly seq: number;
  /** Unix milliseconds by the local clock: for people; nothing is decided by it. */
  readonly time: number;
  readonly kind: string;
  /** What it is about, for instance a bundle id. */
  readonly subject: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Hex SHA-256 of this entry, which covers the one before. */
  readonly hash: string;
}

export type ChainCheck =
  | {
      readonly ok: true;
      /** Entries that are there; those before were let go, under a checkpoint. */
      readonly events: number;
      /** Number of the last one. */
      readonly last: number;
      readonly head: string;
    }
  | { readonly ok: false; readonly events: number; readonly firstBad: number; readonly why: string };

export const EVENTS_SCHEMA = `CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;`;

/** The second step of every ledger's schema: `about` must not read all entries of ten years. */
export const EVENTS_INDEX = 'CREATE INDEX event_subject ON events (subject);';

const GENESIS = '0'.repeat(64);

/**
 * Hex SHA-256 of an entry: over the lines `sluice-ledger-1`, the hash before, seq, time, kind, subject and body (JSON as
 * stored), each ended by a line feed. No field can hold one: kind and subject are checked, JSON escapes it.
 */
function hashOf(previous: string, seq: number, time: number, kind: string, subject: string, body: string): string {
  const lines = ['sluice-ledger-1', previous, String(seq), String(time), kind, subject, body];
  return createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex');
}

interface Row {
  readonly seq: number;
  readonly time: number;
  readonly kind: string;
  readonly subject: string;
  readonly body: string;
  readonly hash: string;
}

const eventOf = (row: Row): LedgerEvent => ({ ...row, body: JSON.parse(row.body) as Record<string, unknown> });

/** The append-only, hash-chained record inside a ledger's database. */
export class EventChain {
  readonly #last: StatementSync;
  readonly #insert: StatementSync;
  readonly #of: StatementSync;
  readonly #after: StatementSync;
  readonly #database: DatabaseSync;
  readonly #now: () => number;

  constructor(database: DatabaseSync, now: () => number) {
    this.#database = database;
    this.#now = now;
    this.#last = database.prepare('SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1');
    this.#insert = database.prepare(
      'INSERT INTO events (seq, time, kind, subject, body, hash) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#of = database.prepare('SELECT * FROM events WHERE subject = ? ORDER BY seq');
    this.#after = database.prepare('SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?');
  }

  /** Appends within the caller's transaction. */
  append(kind: string, subject: string, body: Readonly<Record<string, unknown>>): void {
    if (!this.#database.isTransaction) throw new Error('a ledger entry outside of a transaction');
    if (kind.includes('\n') || subject.includes('\n'))
      throw new Error('a ledger entry with a line feed in kind or subject');
    const last = this.#last.get() as unknown as { seq: number; hash: string } | undefined;
    const seq = (last?.seq ?? 0) + 1;
    const text = JSON.stringify(body);
    const time = this.#now();
    this.#insert.run(seq, time, kind, subject, text, hashOf(last?.hash ?? GENESIS, seq, time, kind, subject, text));
  }

  /** All entries about one subject, oldest first. */
  about(subject: string): LedgerEvent[] {
    return (this.#of.all(subject) as unknown as Row[]).map(eventOf);
  }

  /** Number of the latest entry, 0 for none. */
  last(): number {
    return (this.#last.get() as { seq: number } | undefined)?.seq ?? 0;
  }

  /** At most `limit` entries after a number, oldest first. */
  after(seq: number, limit: number): LedgerEvent[] {
    return (this.#after.all(seq, limit) as unknown as Row[]).map(eventOf);
  }

  /** Recomputes the whole chain, from its beginning or from the checkpoint under which that was let go. Signatures are `verifyCheckpoints`' to check. */
  verify(): ChainCheck {
    return verifyChain(this.#database);
  }
}

/** As `EventChain.verify`; the database may be open to read only. */
export function verifyChain(database: DatabaseSync): ChainCheck {
  const checkpoints = new Map(checkpointsIn(database).map((checkpoint) => [checkpoint.seq, checkpoint.hash]));
  let previous = GENESIS;
  let events = 0;
  let last = 0;
  const bad = (firstBad: number, why: string): ChainCheck => ({ ok: false, events, firstBad, why });
  for (const entry of database.prepare('SELECT * FROM events ORDER BY seq').iterate()) {
    const { seq, time, kind, subject, body, hash } = entry as unknown as Row;
    if (events === 0 && seq > 1) {
      const vouched = checkpoints.get(seq - 1);
      if (vouched === undefined)
        return bad(1, `entries 1 to ${String(seq - 1)} are gone, and no checkpoint vouches for them`);
      [previous, last] = [vouched, seq - 1];
    }
    if (seq !== last + 1) return bad(last + 1, 'the entry is not there');
    if (hash !== hashOf(previous, seq, time, kind, subject, body))
      return bad(seq, 'its hash is not that of its content and the entry before');
    if ((checkpoints.get(seq) ?? hash) !== hash) return bad(seq, 'a checkpoint names another hash');
    events += 1;
    last = seq;
    previous = hash;
  }
  const furthest = Math.max(0, ...checkpoints.keys());
  if (furthest > last) return bad(last + 1, `the end is cut off: a checkpoint vouches for ${String(furthest)} entries`);
  return { ok: true, events, last, head: previous };
}
