import type { DatabaseSync } from 'node:sqlite';
import type { Digest } from '@sluice/ports';
import { transaction } from './database.ts';
import type { EventChain } from './events.ts';

/** Who asked for something on a control socket, and why. */
export interface Actor {
  /** By the kernel's word; null where there is no native code to ask it. */
  readonly uid: number | null;
  /** As given; null where none was. */
  readonly reason: string | null;
}

/** Where no person had a hand in it, or none is known. */
export const NOBODY: Actor = { uid: null, reason: null };

export const SETTINGS_SCHEMA = 'CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;';

/** What people have told a daemon and what lasts: each change is an entry of the chain, with who and why. */
export class Control {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;

  constructor(database: DatabaseSync, events: EventChain) {
    this.#database = database;
    this.#events = events;
  }

  get(name: string): string | undefined {
    const row = this.#database.prepare('SELECT value FROM settings WHERE name = ?').get(name);
    return (row as { value: string } | undefined)?.value;
  }

  /** Sets what a person decided; `action` is the entry's word for it. */
  set(name: string, value: string, action: string, actor: Actor): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(
          'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
        )
        .run(name, value);
      this.#events.append('control', name, { action, value, ...actor });
    });
  }

  /** Something was done that leaves no other entry. */
  done(action: string, subject: string, actor: Actor, body: Readonly<Record<string, unknown>> = {}): void {
    transaction(this.#database, () => {
      this.#events.append('control', subject, { action, ...body, ...actor });
    });
  }
}

export const TRUST_SCHEMA = `CREATE TABLE revoked (key TEXT PRIMARY KEY) STRICT;
  CREATE TABLE policy (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, digest TEXT NOT NULL, envelope BLOB NOT NULL) STRICT;`;

/** A policy document that was taken. */
export interface AdoptedPolicy {
  readonly version: number;
  readonly digest: Digest;
  readonly envelope: Uint8Array;
}

/** Which keys are believed, beyond what the configuration says: revoked keys, and the policy document taken last. */
export class TrustRecord {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;

  constructor(database: DatabaseSync, events: EventChain) {
    this.#database = database;
    this.#events = events;
  }

  revoked(): ReadonlySet<string> {
    const rows = this.#database.prepare('SELECT key FROM revoked').all() as unknown as { key: string }[];
    return new Set(rows.map(({ key }) => key));
  }

  /** For good: nothing takes it back. False, and nothing is recorded, when it was revoked before. */
  revoke(key: string, actor: Actor, body: Readonly<Record<string, unknown>>): boolean {
    return transaction(this.#database, () => {
      const { changes } = this.#database.prepare('INSERT OR IGNORE INTO revoked (key) VALUES (?)').run(key);
      if (changes === 0) return false;
      this.#events.append('key-revoked', key, { action: 'revoke', ...body, ...actor });
      return true;
    });
  }

  policy(): AdoptedPolicy | undefined {
    const row = this.#database.prepare('SELECT version, digest, envelope FROM policy').get();
    return row as AdoptedPolicy | undefined;
  }

  adopt({ version, digest, envelope }: AdoptedPolicy, actor: Actor, body: Readonly<Record<string, unknown>>): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(
          `INSERT INTO policy (one, version, digest, envelope) VALUES (1, ?, ?, ?)
           ON CONFLICT (one) DO UPDATE SET version = excluded.version, digest = excluded.digest, envelope = excluded.envelope
           WHERE excluded.version > version`,
        )
        .run(version, digest, envelope);
      this.#events.append('policy', digest, { action: 'adopt', version, ...body, ...actor });
    });
  }
}
