import type { DatabaseSync } from 'node:sqlite';
import type { Digest } from '@sluice/ports';
import { Checkpoints, CHECKPOINTS_SCHEMA } from './checkpoints.ts';
import { type Migration, openDatabase, transaction } from './database.ts';
import { Control, SETTINGS_SCHEMA, TRUST_SCHEMA, TrustRecord } from './control.ts';
import { EventChain, EVENTS_INDEX, EVENTS_SCHEMA } from './events.ts';

const MIGRATIONS: readonly Migration[] = [
  `${EVENTS_SCHEMA}
  CREATE TABLE tags (repository TEXT NOT NULL, tag TEXT NOT NULL, channel TEXT NOT NULL, sequence INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (repository, tag, channel)) STRICT;
  CREATE TABLE imported (bundle TEXT PRIMARY KEY, channel TEXT NOT NULL, sequence INTEGER NOT NULL) STRICT;`,
  EVENTS_INDEX,
  `${SETTINGS_SCHEMA} ${TRUST_SCHEMA}`,
  CHECKPOINTS_SCHEMA,
];

/** One importer's record: which bundle last set which tag, so that no tag goes back to an older one. */
export class ImporterLedger {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;
  readonly control: Control;
  readonly trust: TrustRecord;
  readonly checkpoints: Checkpoints;

  /** @param now Unix milliseconds. */
  constructor(path: string, now: () => number = Date.now) {
    this.#database = openDatabase(path, MIGRATIONS);
    this.#events = new EventChain(this.#database, now);
    this.control = new Control(this.#database, this.#events);
    this.trust = new TrustRecord(this.#database, this.#events);
    this.checkpoints = new Checkpoints(this.#database, 'importer', now);
  }

  get events(): EventChain {
    return this.#events;
  }

  /** No entry is looked at by the importer itself. */
  neededFrom(): number {
    return Infinity;
  }

  close(): void {
    this.#database.close();
  }

  /** Sequence of the bundle that last set the tag by this channel, 0 for none. */
  tagSequence(repository: string, tag: string, channel: string): number {
    const row = this.#database
      .prepare('SELECT sequence FROM tags WHERE repository = ? AND tag = ? AND channel = ?')
      .get(repository, tag, channel);
    return (row as { sequence: number } | undefined)?.sequence ?? 0;
  }

  recordTag(repository: string, tag: string, channel: string, sequence: number, digest: Digest): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(
          `INSERT INTO tags (repository, tag, channel, sequence, digest) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (repository, tag, channel) DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest
           WHERE excluded.sequence >= sequence`,
        )
        .run(repository, tag, channel, sequence, digest);
    });
  }

  imported(bundle: Digest): boolean {
    return this.#database.prepare('SELECT 1 FROM imported WHERE bundle = ?').get(bundle) !== undefined;
  }

  recordImported(bundle: Digest, channel: string, sequence: number): void {
    transaction(this.#database, () => {
      this.#database
        .prepare('INSERT OR IGNORE INTO imported (bundle, channel, sequence) VALUES (?, ?, ?)')
        .run(bundle, channel, sequence);
      this.#events.append('imported', bundle, { channel, sequence });
    });
  }
}
