import { ARCHIVE_SCHEMA } from './archive.ts';
import { CHECKPOINTS_SCHEMA } from './checkpoints.ts';
import { SETTINGS_SCHEMA, TRUST_SCHEMA } from './control.ts';
import type { Migration } from './database.ts';
import { EVENTS_INDEX, EVENTS_SCHEMA } from './events.ts';
import { KEEPING_SCHEMA } from './keeping.ts';
import { WITHDRAWN_SCHEMA } from './refusals.ts';
import { SIGNATURES_SCHEMA } from './signatures.ts';

/** The receiver's ledger, step by step. */
export const RECEIVER_MIGRATIONS: readonly Migration[] = [
  `${EVENTS_SCHEMA}
  CREATE TABLE bundles (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, sequence INTEGER NOT NULL, release TEXT NOT NULL,
    name TEXT NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL, bytes INTEGER NOT NULL,
    first_seen INTEGER NOT NULL, changed INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX bundle_sequence ON bundles (channel, sequence) WHERE sequence > 0;
  CREATE TABLE outbox (bundle TEXT PRIMARY KEY REFERENCES bundles (id), queued INTEGER NOT NULL) STRICT;
  CREATE TABLE versions (channel TEXT NOT NULL, type TEXT NOT NULL, target TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (channel, type, target)) STRICT;
  CREATE TABLE announced (channel TEXT PRIMARY KEY, sequence INTEGER NOT NULL, head TEXT, sender_seconds INTEGER NOT NULL) STRICT;
  CREATE TABLE receipts (bundle TEXT PRIMARY KEY REFERENCES bundles (id), envelope BLOB NOT NULL) STRICT;`,
  `${EVENTS_INDEX}
  CREATE INDEX bundle_state ON bundles (state);`,
  `CREATE INDEX bundle_release ON bundles (channel, release);`,
  `CREATE TABLE named (channel TEXT NOT NULL, sequence INTEGER NOT NULL, bundle TEXT NOT NULL, name TEXT NOT NULL,
    bytes INTEGER NOT NULL, PRIMARY KEY (channel, sequence)) STRICT;`,
  `${SETTINGS_SCHEMA} ${TRUST_SCHEMA} ${SIGNATURES_SCHEMA} ${WITHDRAWN_SCHEMA}`,
  `${CHECKPOINTS_SCHEMA} ${KEEPING_SCHEMA}`,
  ARCHIVE_SCHEMA,
  // Digests of release statements; of what was published before this only the envelopes are known.
  `CREATE TABLE contents (bundle TEXT PRIMARY KEY REFERENCES bundles (id), content TEXT NOT NULL) STRICT;
  CREATE INDEX content_bundle ON contents (content);`,
  `CREATE TABLE previous (channel TEXT NOT NULL, sequence INTEGER NOT NULL, bundle TEXT NOT NULL, PRIMARY KEY (channel, sequence)) STRICT;`,
];
