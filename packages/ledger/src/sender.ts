import type { DatabaseSync } from 'node:sqlite';
import { type Digest, hostile, type HostileText } from '@sluice/ports';
import { type BundleFilter, bundlePage } from './bundle-page.ts';
import { Checkpoints, CHECKPOINTS_SCHEMA } from './checkpoints.ts';
import { type Migration, openDatabase, transaction } from './database.ts';
import { type Actor, Control, NOBODY, SETTINGS_SCHEMA } from './control.ts';
import { EventChain, EVENTS_INDEX, EVENTS_SCHEMA } from './events.ts';
import { type Head, Heads, HEADS_SCHEMA } from './heads.ts';

/** Longest name of a bundle in a history: a list must stay short. */
const HISTORY_NAME = 100;

export interface SealedObject {
  readonly digest: Digest;
  readonly size: number;
  readonly contentType: 'application/x-tar' | 'application/octet-stream';
}

export const SEND_STATES = ['queued', 'sending', 'sent'] as const;
export type SendState = (typeof SEND_STATES)[number];

/** A bundle as the sender knows it. It cannot know whether it arrived. */
export interface SealedBundle {
  /** Digest of the transport envelope. */
  readonly id: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly name: HostileText;
  readonly release: Digest;
  readonly releaseSize: number;
  readonly envelope: Uint8Array;
  readonly objects: readonly SealedObject[];
  /** Bytes of content. */
  readonly bytes: number;
  readonly state: SendState;
  readonly passesDone: number;
  /** Unix milliseconds of the seal. */
  readonly sealedAt: number;
}

/** What a bundle has in the staging store. */
export type StagedBundle = Pick<
  SealedBundle,
  'id' | 'channel' | 'sequence' | 'release' | 'objects' | 'bytes' | 'state' | 'sealedAt'
>;

export interface SealRequest {
  readonly channel: string;
  /** Name of the input: the same input is sealed once. */
  readonly source: string;
  readonly name: string;
  readonly release: Digest;
  readonly releaseSize: number;
  readonly objects: readonly SealedObject[];
  readonly bytes: number;
  /** Makes the transport envelope for the number that the channel gives. */
  readonly make: (sequence: number, previous: Digest | null) => { readonly id: Digest; readonly envelope: Uint8Array };
}

const MIGRATIONS: readonly Migration[] = [
  `${EVENTS_SCHEMA}
  CREATE TABLE session (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
  CREATE TABLE bundles (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, sequence INTEGER NOT NULL,
    name TEXT NOT NULL, release TEXT NOT NULL, release_size INTEGER NOT NULL, envelope BLOB NOT NULL, objects TEXT NOT NULL,
    bytes INTEGER NOT NULL, state TEXT NOT NULL, passes_done INTEGER NOT NULL, sealed_at INTEGER NOT NULL,
    UNIQUE (channel, sequence)
  ) STRICT;
  CREATE TABLE seen_inputs (key TEXT PRIMARY KEY, etag TEXT NOT NULL) STRICT;`,
  `${EVENTS_INDEX}
  CREATE INDEX bundle_unfinished ON bundles (number) WHERE state <> 'sent';`,
  `CREATE TABLE progress (bundle TEXT PRIMARY KEY, pass INTEGER NOT NULL, shape TEXT NOT NULL, blocks INTEGER NOT NULL) STRICT;`,
  `${SETTINGS_SCHEMA} CREATE INDEX event_repair ON events (seq) WHERE kind = 'repair';`,
  `${CHECKPOINTS_SCHEMA} ${HEADS_SCHEMA}
  CREATE TABLE dropped (bundle TEXT PRIMARY KEY) STRICT;`,
];

interface Row {
  readonly number: number;
  readonly id: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly name: string;
  readonly release: Digest;
  readonly release_size: number;
  readonly envelope: Uint8Array;
  readonly objects: string;
  readonly bytes: number;
  readonly state: SendState;
  readonly passes_done: number;
  readonly sealed_at: number;
}

const bundleOf = (row: Row): SealedBundle => ({
  id: row.id,
  channel: row.channel,
  sequence: row.sequence,
  name: hostile(row.name),
  release: row.release,
  releaseSize: row.release_size,
  envelope: row.envelope,
  objects: JSON.parse(row.objects) as SealedObject[],
  bytes: row.bytes,
  state: row.state,
  passesDone: row.passes_done,
  sealedAt: row.sealed_at,
});

/** The staging side's durable record: sessions, sequence numbers, bundles and their passes. */
export class SenderLedger {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;
  readonly #now: () => number;
  /** What people told the sender. */
  readonly control: Control;
  readonly heads: Heads;
  readonly checkpoints: Checkpoints;

  /** @param now Unix milliseconds. */
  constructor(path: string, now: () => number = Date.now) {
    this.#database = openDatabase(path, MIGRATIONS);
    this.#now = now;
    this.#events = new EventChain(this.#database, now);
    this.control = new Control(this.#database, this.#events);
    this.heads = new Heads(this.#database, this.#events);
    this.checkpoints = new Checkpoints(this.#database, 'sender', now);
  }

  get events(): EventChain {
    return this.#events;
  }

  /** Number of the first entry about a bundle that has passes to go; Infinity when there is none. */
  neededFrom(): number {
    const query = `SELECT min(seq) AS seq FROM bundles CROSS JOIN events ON subject = id WHERE state <> 'sent'`;
    return (this.#database.prepare(query).get() as { seq: number | null }).seq ?? Infinity;
  }

  close(): void {
    this.#database.close();
  }

  /** The next session's epoch, durable on return: that of the clock, and greater than every one before in any case (S-1). */
  nextEpoch(byClock: number): number {
    return transaction(this.#database, () => {
      const row = this.#database.prepare('SELECT epoch FROM session').get() as { epoch: number } | undefined;
      const epoch = Math.max((row?.epoch ?? 0) + 1, byClock, 1);
      this.#database
        .prepare(
          'INSERT INTO session (one, epoch) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch',
        )
        .run(epoch);
      this.#events.append('session', String(epoch), {});
      return epoch;
    });
  }

  /** Gives the input its sequence number and its statement, in one transaction. An input sealed before comes back as it was. */
  sealBundle(request: SealRequest): SealedBundle {
    return transaction(this.#database, () => {
      const before = this.#database.prepare('SELECT * FROM bundles WHERE source = ?').get(request.source);
      if (before !== undefined) return bundleOf(before as unknown as Row);
      const { sequence: last, id: head } = this.head(request.channel);
      const sequence = last + 1;
      const { id, envelope } = request.make(sequence, head);
      const { channel, source, name, release, releaseSize, bytes } = request;
      const columns =
        'id, source, channel, sequence, name, release, release_size, envelope, objects, bytes, state, passes_done, sealed_at';
      this.#database
        .prepare(`INSERT INTO bundles (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', 0, ?)`)
        .run(
          id,
          source,
          channel,
          sequence,
          name,
          release,
          releaseSize,
          envelope,
          JSON.stringify(request.objects),
          bytes,
          this.#now(),
        );
      this.#events.append('sealed', id, { channel, sequence, release, bytes });
      const sealed = this.bundle(id);
      if (sealed === undefined) throw new Error('a bundle that was just sealed is not there');
      return sealed;
    });
  }

  /** Last sequence number and bundle of a channel; 0 and null when there is none. */
  head(channel: string): Head {
    return this.heads.of(channel);
  }

  /**
   * This ledger is a copy that was restored: sessions go on above all that were before, and each channel's numbers wait until somebody has told how far they
   * went.
   */
  restored(channels: readonly string[], epoch: number, body: Readonly<Record<string, unknown>>): void {
    transaction(this.#database, () => {
      const before = this.#database.prepare('SELECT epoch FROM session').get() as { epoch: number } | undefined;
      const above = Math.max(before?.epoch ?? 0, epoch);
      this.#database
        .prepare(
          'INSERT INTO session (one, epoch) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch',
        )
        .run(above);
      const known = this.#database.prepare('SELECT DISTINCT channel FROM bundles').all();
      this.heads.doubt([...channels, ...(known as unknown as { channel: string }[]).map(({ channel }) => channel)]);
      this.#events.append('restored', '', { epoch: above, ...body });
    });
  }

  /** The latest bundles of a channel, at most `limit` and without a gap, newest last. */
  recent(channel: string, limit: number): Pick<SealedBundle, 'id' | 'sequence' | 'name' | 'bytes'>[] {
    const rows = this.#database
      .prepare('SELECT id, sequence, name, bytes FROM bundles WHERE channel = ? ORDER BY sequence DESC LIMIT ?')
      .all(channel, limit) as unknown as Pick<Row, 'id' | 'sequence' | 'name' | 'bytes'>[];
    // Numbers that a restored ledger knows nothing of are a gap.
    const gap = rows.findIndex(({ sequence }, i) => sequence !== (rows[0]?.sequence ?? 0) - i);
    return rows
      .slice(0, gap === -1 ? rows.length : gap)
      .map(({ id, sequence, name, bytes }) => ({ id, sequence, name: hostile(name, HISTORY_NAME), bytes }))
      .reverse();
  }

  bundle(id: string): SealedBundle | undefined {
    const row = this.#database.prepare('SELECT * FROM bundles WHERE id = ?').get(id);
    return row === undefined ? undefined : bundleOf(row as unknown as Row);
  }

  /** The bundle that has a number of a channel. */
  numbered(channel: string, sequence: number): SealedBundle | undefined {
    const row = this.#database
      .prepare('SELECT * FROM bundles WHERE channel = ? AND sequence = ?')
      .get(channel, sequence);
    return row === undefined ? undefined : bundleOf(row as unknown as Row);
  }

  /** A ticket is served, for the how-manieth time; `ticket` tells it from others. Gives how often it was served before. */
  repairBegun(id: Digest, ticket: Digest, words: readonly string[], actor: Actor = NOBODY): number {
    return transaction(this.#database, () => {
      const before = this.#events
        .about(id)
        .filter(({ kind, body }) => kind === 'repair' && body.ticket === ticket).length;
      this.#events.append('repair', id, { ticket, words, before, ...actor });
      return before;
    });
  }

  /** Tickets that were served last, oldest first. */
  servedTickets(limit: number): Digest[] {
    const rows = this.#database
      .prepare("SELECT body FROM events WHERE kind = 'repair' ORDER BY seq DESC LIMIT ?")
      .all(limit) as unknown as { body: string }[];
    return rows.map(({ body }) => (JSON.parse(body) as { ticket: Digest }).ticket).reverse();
  }

  /** Bundles with passes to go, in the order of their sealing. */
  unfinished(): SealedBundle[] {
    const rows = this.#database.prepare("SELECT * FROM bundles WHERE state <> 'sent' ORDER BY number").all();
    return (rows as unknown as Row[]).map(bundleOf);
  }

  /** How many `unfinished` would give, without reading them. */
  unfinishedCount(): number {
    return Number(this.#database.prepare("SELECT count(*) AS n FROM bundles WHERE state <> 'sent'").get()?.n ?? 0);
  }

  /** Bundles of which no pass has left. */
  unsentCount(): number {
    const query = "SELECT count(*) AS n FROM bundles WHERE state <> 'sent' AND passes_done = 0";
    return Number(this.#database.prepare(query).get()?.n ?? 0);
  }

  /** When the bundle was sealed that waits longest for the end of its first pass, Unix milliseconds. */
  waitingSince(): number | undefined {
    const query = "SELECT min(sealed_at) AS since FROM bundles WHERE state <> 'sent' AND passes_done = 0";
    return (this.#database.prepare(query).get() as { since: number | null }).since ?? undefined;
  }

  /** Bundles of a channel from a number on whose full passes have all left, newest first. */
  sentSince(channel: string, sequence: number): Digest[] {
    const rows = this.#database
      .prepare("SELECT id FROM bundles WHERE channel = ? AND sequence >= ? AND state = 'sent' ORDER BY sequence DESC")
      .all(channel, sequence) as unknown as { id: Digest }[];
    return rows.map(({ id }) => id);
  }

  /** Bundles whose content is in the staging store, as far as we know, oldest first. */
  staged(): StagedBundle[] {
    const query = `SELECT id, channel, sequence, release, objects, bytes, state, sealed_at FROM bundles
      WHERE NOT EXISTS (SELECT 1 FROM dropped WHERE bundle = id) ORDER BY number`;
    return (this.#database.prepare(query).all() as unknown as Row[]).map((row) => ({
      ...{ id: row.id, channel: row.channel, sequence: row.sequence, release: row.release, bytes: row.bytes },
      ...{ objects: JSON.parse(row.objects) as SealedObject[], state: row.state, sealedAt: row.sealed_at },
    }));
  }

  /** Their content went from the staging store, as far as no other bundle needs it. */
  dropped(bundles: readonly Digest[], why: string): void {
    transaction(this.#database, () => {
      const insert = this.#database.prepare('INSERT OR IGNORE INTO dropped (bundle) VALUES (?)');
      for (const id of bundles) {
        insert.run(id);
        this.#events.append('dropped', id, { why });
      }
    });
  }

  /** How many blocks of a pass have left, counted in blocks of this shape. */
  passGoesOn(id: string, pass: number, shape: string, blocks: number): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(
          `INSERT INTO progress (bundle, pass, shape, blocks) VALUES (?, ?, ?, ?)
           ON CONFLICT (bundle) DO UPDATE SET pass = excluded.pass, shape = excluded.shape, blocks = excluded.blocks`,
        )
        .run(id, pass, shape, blocks);
    });
  }

  /** Blocks of a pass that had left when an earlier run ended; 0 where none had, or blocks were of another shape. */
  passStopped(id: string, pass: number, shape: string): number {
    const row = this.#database
      .prepare('SELECT blocks FROM progress WHERE bundle = ? AND pass = ? AND shape = ?')
      .get(id, pass, shape);
    return (row as { blocks: number } | undefined)?.blocks ?? 0;
  }

  passBegun(id: string): void {
    transaction(this.#database, () => {
      this.#database.prepare("UPDATE bundles SET state = 'sending' WHERE id = ?").run(id);
    });
  }

  /** Counts a pass; after `passes` of them the bundle is sent. */
  passDone(id: string, pass: number, passes: number): SealedBundle {
    return transaction(this.#database, () => {
      const state: SendState = pass + 1 >= passes ? 'sent' : 'queued';
      this.#database.prepare('UPDATE bundles SET passes_done = ?, state = ? WHERE id = ?').run(pass + 1, state, id);
      this.#database.prepare('DELETE FROM progress WHERE bundle = ?').run(id);
      this.#events.append('pass', id, { pass });
      const bundle = this.bundle(id);
      if (bundle === undefined) throw new Error(`no bundle ${id}`);
      return bundle;
    });
  }

  /** Newest first; `before` is the sequence-independent number to go on from. */
  list(
    limit: number,
    before?: number,
    filter?: BundleFilter,
  ): { readonly bundles: readonly SealedBundle[]; readonly next: number | undefined } {
    return bundlePage(this.#database, bundleOf, limit, before, filter);
  }

  /** Inputs of sources that keep what they gave: taken once for each version. */
  seen(key: string, etag: string): boolean {
    const row = this.#database.prepare('SELECT etag FROM seen_inputs WHERE key = ?').get(key) as
      { etag: string } | undefined;
    return row?.etag === etag;
  }

  remember(key: string, etag: string): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(
          'INSERT INTO seen_inputs (key, etag) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET etag = excluded.etag',
        )
        .run(key, etag);
    });
  }
}
