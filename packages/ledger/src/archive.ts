import type { DatabaseSync } from 'node:sqlite';
import type { Digest } from '@sluice/ports';
import { transaction } from './database.ts';
import type { EventChain } from './events.ts';

export const ARCHIVE_SCHEMA = `CREATE TABLE archive (
  digest TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, since INTEGER NOT NULL
) STRICT;`;

/** What digests in records stand for: configurations, trust anchors, policies. And which chunk logs there were. */
export class Archive {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;
  readonly #now: () => number;

  constructor(database: DatabaseSync, events: EventChain, now: () => number) {
    this.#database = database;
    this.#events = events;
    this.#now = now;
  }

  /** Kept once; it is never removed. */
  put(digest: Digest, kind: string, text: string): void {
    transaction(this.#database, () => {
      const { changes } = this.#database
        .prepare('INSERT OR IGNORE INTO archive (digest, kind, text, since) VALUES (?, ?, ?, ?)')
        .run(digest, kind, text, this.#now());
      if (Number(changes) > 0) this.#events.append('archived', digest, { kind });
    });
  }

  get(digest: string): { readonly kind: string; readonly text: string } | undefined {
    const row = this.#database.prepare('SELECT kind, text FROM archive WHERE digest = ?').get(digest);
    return row as { kind: string; text: string } | undefined;
  }

  /** Everything of a kind, oldest first. */
  all(kind: string): { readonly digest: Digest; readonly text: string }[] {
    const rows = this.#database
      .prepare('SELECT digest, text FROM archive WHERE kind = ? ORDER BY since, rowid')
      .all(kind);
    return rows as unknown as { digest: Digest; text: string }[];
  }

  /** Files of the chunk log that were entered in its index, oldest first, with the index's last line by then. */
  logs(): { readonly name: string; readonly head: string }[] {
    const rows = this.#database.prepare("SELECT subject, body FROM events WHERE kind = 'chunk-log' ORDER BY seq").all();
    return (rows as unknown as { subject: string; body: string }[]).map(({ subject, body }) => ({
      name: subject,
      head: String((JSON.parse(body) as { head?: unknown }).head),
    }));
  }

  /** A file of the chunk log is entered in its index; `head` in the body is the index's last line by then. */
  logClosed(name: string, body: Readonly<Record<string, unknown>>): void {
    transaction(this.#database, () => {
      this.#events.append('chunk-log', name, body);
    });
  }
}
