import type { DatabaseSync } from 'node:sqlite';
import { transaction } from './database.ts';

/** Signs checkpoints (`Signer` of trust). */
export interface CheckpointSigner {
  readonly keyid: string;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** Checks them (`Verifier` of trust). */
export interface CheckpointVerifier {
  readonly keyid: string;
  readonly verify: (message: Uint8Array, signature: Uint8Array) => boolean;
}

export const LEDGER_ROLES = ['sender', 'receiver', 'importer'] as const;
export type LedgerRole = (typeof LEDGER_ROLES)[number];

/** What the chain was up to an entry, with a signature: from then on it cannot be cut off or computed anew unseen. */
export interface Checkpoint {
  readonly seq: number;
  /** Hash of that entry. */
  readonly hash: string;
  /** Unix milliseconds. */
  readonly time: number;
  readonly keyid: string;
  readonly signature: Uint8Array;
}

export const CHECKPOINTS_SCHEMA = `CREATE TABLE checkpoints (
  seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, time INTEGER NOT NULL, keyid TEXT NOT NULL, signature BLOB NOT NULL
) STRICT;`;

/** What is signed: the lines `sluice-checkpoint-1`, role, seq, hash and time, each ended by a line feed. */
export function checkpointMessage(
  role: LedgerRole,
  { seq, hash, time }: Pick<Checkpoint, 'seq' | 'hash' | 'time'>,
): Uint8Array {
  const lines = ['sluice-checkpoint-1', role, String(seq), hash, String(time)];
  return Buffer.from(lines.map((line) => `${line}\n`).join(''));
}

/** All checkpoints, oldest first; none where the schema is older than they are. */
export function checkpointsIn(database: DatabaseSync): readonly Checkpoint[] {
  const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'checkpoints'").get();
  if (table === undefined) return [];
  return database.prepare('SELECT * FROM checkpoints ORDER BY seq').all() as unknown as Checkpoint[];
}

export interface ClosingRules {
  /** Unix milliseconds: entries that are younger stay. */
  readonly olderThan: number;
  /** So many latest entries stay, however old they are: the clock may be wrong. */
  readonly keepEntries: number;
  /** Entries from this number on are still needed. */
  readonly neededFrom: number;
}

/** Signs a ledger's chain as it is, and lets old entries go that a checkpoint vouches for. */
export class Checkpoints {
  readonly #database: DatabaseSync;
  readonly #role: LedgerRole;
  readonly #now: () => number;

  constructor(database: DatabaseSync, role: LedgerRole, now: () => number) {
    this.#database = database;
    this.#role = role;
    this.#now = now;
  }

  get list(): readonly Checkpoint[] {
    return checkpointsIn(this.#database);
  }

  /** Vouches for the chain up to its last entry; undefined when one does already, or there is none. */
  make(signer: CheckpointSigner): Checkpoint | undefined {
    return transaction(this.#database, () => {
      const last = this.#database.prepare('SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1').get();
      if (last === undefined) return undefined;
      const { seq, hash } = last as { seq: number; hash: string };
      const known = this.#database.prepare('SELECT 1 FROM checkpoints WHERE seq >= ?').get(seq);
      if (known !== undefined) return undefined;
      const time = this.#now();
      const signature = signer.sign(checkpointMessage(this.#role, { seq, hash, time }));
      const { keyid } = signer;
      this.#database
        .prepare('INSERT INTO checkpoints (seq, hash, time, keyid, signature) VALUES (?, ?, ?, ?, ?)')
        .run(seq, hash, time, keyid, signature);
      return { seq, hash, time, keyid, signature };
    });
  }

  /** Lets the entries go up to the latest checkpoint that the rules allow; gives how many these were. */
  close({ olderThan, keepEntries, neededFrom }: ClosingRules): number {
    return transaction(this.#database, () => {
      const last =
        (this.#database.prepare('SELECT max(seq) AS seq FROM events').get() as { seq: number | null }).seq ?? 0;
      const most = Math.min(last - Math.max(keepEntries, 1), neededFrom - 1);
      const young = 'SELECT min(seq) AS seq FROM events WHERE time >= ?';
      const firstYoung = (this.#database.prepare(young).get(olderThan) as { seq: number | null }).seq ?? Infinity;
      const upTo = this.#database
        .prepare('SELECT max(seq) AS seq FROM checkpoints WHERE seq <= ?')
        .get(Math.min(most, firstYoung - 1));
      const seq = (upTo as { seq: number | null }).seq ?? 0;
      if (seq === 0) return 0;
      const { changes } = this.#database.prepare('DELETE FROM events WHERE seq <= ?').run(seq);
      // The one that vouches for what is gone stays.
      this.#database.prepare('DELETE FROM checkpoints WHERE seq < ?').run(seq);
      return Number(changes);
    });
  }
}
