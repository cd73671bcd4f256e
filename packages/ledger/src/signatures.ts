import type { DatabaseSync } from 'node:sqlite';
import { type Digest, hostile, type HostileText } from '@sluice/ports';

/** Which key signed what: kept beside the chain, whose entries say the same, so that nobody reads ten years of them. */
export const SIGNATURES_SCHEMA = `CREATE TABLE signatures (key TEXT NOT NULL, bundle TEXT NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (key, bundle, role)) STRICT;
  CREATE INDEX signature_bundle ON signatures (bundle);
  INSERT OR IGNORE INTO signatures (key, bundle, role)
    SELECT signer.value, subject, 'release' FROM events, json_each(body, '$.signers') AS signer WHERE kind = 'published';`;

export interface SignedBundle {
  /** To go on from. */
  readonly number: number;
  readonly id: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly name: HostileText;
  readonly state: string;
  /** What it signed of the bundle. */
  readonly role: 'transport' | 'release';
}

export interface Signers {
  /** Undefined for a bundle that came before this was written down. */
  readonly transport: string | undefined;
  readonly release: readonly string[];
}

export class Signatures {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Within the caller's transaction. */
  note(bundle: Digest, role: SignedBundle['role'], keys: readonly string[]): void {
    const insert = this.#database.prepare('INSERT OR IGNORE INTO signatures (key, bundle, role) VALUES (?, ?, ?)');
    for (const key of keys) insert.run(key, bundle, role);
  }

  of(bundle: Digest): Signers {
    const rows = this.#database.prepare('SELECT key, role FROM signatures WHERE bundle = ?').all(bundle);
    const all = rows as unknown as { key: string; role: string }[];
    const transport = all.find(({ role }) => role === 'transport')?.key;
    return { transport, release: all.filter(({ role }) => role === 'release').map(({ key }) => key) };
  }

  count(key: string): number {
    return Number(this.#database.prepare('SELECT count(*) AS n FROM signatures WHERE key = ?').get(key)?.n ?? 0);
  }

  /** What a key signed, newest first, from below the number `before`. */
  by(key: string, limit: number, before = Number.MAX_SAFE_INTEGER): SignedBundle[] {
    const rows = this.#database
      .prepare(
        `SELECT number, id, channel, sequence, name, state, role FROM signatures JOIN bundles ON bundles.id = bundle
         WHERE key = ? AND number < ? ORDER BY number DESC LIMIT ?`,
      )
      .all(key, before, limit) as unknown as (Omit<SignedBundle, 'name'> & { readonly name: string })[];
    return rows.map((row) => ({ ...row, name: hostile(row.name) }));
  }
}
