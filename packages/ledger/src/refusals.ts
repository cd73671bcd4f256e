import type { DatabaseSync } from 'node:sqlite';
import type { Digest } from '@sluice/ports';
import type { Actor } from './control.ts';
import { transaction } from './database.ts';
import type { EventChain } from './events.ts';

/** Bundles that were published and then taken out of the outbox again: an importer that was faster may still say so. */
export const WITHDRAWN_SCHEMA = 'CREATE TABLE withdrawn (bundle TEXT PRIMARY KEY REFERENCES bundles (id)) STRICT;';

/** What changes a bundle's fate after it was decided. */
export class Refusals {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;
  readonly #now: () => number;

  constructor(database: DatabaseSync, events: EventChain, now: () => number) {
    this.#database = database;
    this.#events = events;
    this.#now = now;
  }

  /** A bundle that waits for its import is refused after all. False, and nothing is recorded, when it does not wait. */
  withdraw(id: Digest, code: string, detail: string): boolean {
    return transaction(this.#database, () => {
      const { changes } = this.#database
        .prepare(
          `UPDATE bundles SET state = 'quarantined', code = ?, detail = ?, changed = ?
           WHERE id = ? AND state IN ('published', 'queued')`,
        )
        .run(code, detail, this.#now(), id);
      if (changes === 0) return false;
      this.#database.prepare('DELETE FROM outbox WHERE bundle = ?').run(id);
      this.#database.prepare('INSERT OR IGNORE INTO withdrawn (bundle) VALUES (?)').run(id);
      this.#events.append('withdrawn', id, { code, detail });
      return true;
    });
  }

  /** A bundle that the importer gave up goes into the outbox again. False, and nothing is recorded, when it did not, or is not kept. */
  again(id: Digest, actor: Actor): boolean {
    return transaction(this.#database, () => {
      const { changes } = this.#database
        .prepare(
          `UPDATE bundles SET state = 'published', code = '', detail = '', changed = ?
           WHERE id = ? AND state = 'failed' AND NOT EXISTS (SELECT 1 FROM dropped WHERE bundle = id)`,
        )
        .run(this.#now(), id);
      if (changes === 0) return false;
      this.#database.prepare('INSERT OR IGNORE INTO outbox (bundle, queued) VALUES (?, 0)').run(id);
      this.#events.append('control', id, { action: 'retry', ...actor });
      return true;
    });
  }

  /** Withdrawn bundles of which no importer has said that it was faster. */
  unfinished(): Digest[] {
    const rows = this.#database
      .prepare("SELECT bundle FROM withdrawn JOIN bundles ON bundles.id = bundle WHERE state = 'quarantined'")
      .all() as unknown as { bundle: Digest }[];
    return rows.map(({ bundle }) => bundle);
  }

  withdrawn(id: Digest): boolean {
    return this.#database.prepare('SELECT 1 FROM withdrawn WHERE bundle = ?').get(id) !== undefined;
  }

  /**
   * The statements of a refused bundle were judged anew, and hold: it is under way again. One whose number never counted leaves
   * no row, and is received as if it came now.
   */
  reopen(id: Digest, actor: Actor): void {
    transaction(this.#database, () => {
      this.#database.prepare("DELETE FROM bundles WHERE id = ? AND state = 'quarantined' AND sequence = 0").run(id);
      this.#database
        .prepare(
          `UPDATE bundles SET state = 'receiving', code = '', detail = '', changed = ? WHERE id = ? AND state = 'quarantined'`,
        )
        .run(this.#now(), id);
      this.#events.append('reopened', id, { action: 'quarantine-retry', ...actor });
    });
  }
}
