import type { DatabaseSync } from 'node:sqlite';
import { type Digest, hostile, type HostileText, OperationalError } from '@sluice/ports';
import { Archive } from './archive.ts';
import { type BundleFilter, bundlePage } from './bundle-page.ts';
import { type BundleRecord, type BundleState, type MissingBundle, recordOf, type Row } from './bundle-record.ts';
import { Checkpoints } from './checkpoints.ts';
import { faultOf, openDatabase, transaction } from './database.ts';
import { type Actor, Control, NOBODY, TrustRecord } from './control.ts';
import { EventChain } from './events.ts';
import { Keeping } from './keeping.ts';
import { RECEIVER_MIGRATIONS } from './receiver-schema.ts';
import { Refusals } from './refusals.ts';
import { Signatures } from './signatures.ts';
import { readLedger } from './verify.ts';

/** The isolated side's durable record: what arrived, what was refused, what is to be imported, what came of it. */
export class ReceiverLedger {
  readonly #database: DatabaseSync;
  readonly #events: EventChain;
  readonly #now: () => number;
  /** What people told the receiver. */
  readonly control: Control;
  readonly trust: TrustRecord;
  readonly signatures: Signatures;
  readonly refusals: Refusals;
  readonly keeping: Keeping;
  readonly checkpoints: Checkpoints;
  /** By channel: the gaps up to a number, so that `missing` does not look at all of ten years each time. */
  readonly #gaps = new Map<string, { readonly upTo: number; readonly gaps: readonly number[] }>();

  /** @param now Unix milliseconds. */
  constructor(path: string | DatabaseSync, now: () => number = Date.now) {
    this.#database = typeof path === 'string' ? openDatabase(path, RECEIVER_MIGRATIONS) : path;
    this.#now = now;
    this.#events = new EventChain(this.#database, now);
    this.control = new Control(this.#database, this.#events);
    this.trust = new TrustRecord(this.#database, this.#events);
    this.signatures = new Signatures(this.#database);
    this.refusals = new Refusals(this.#database, this.#events, now);
    this.keeping = new Keeping(this.#database, this.#events, now);
    this.checkpoints = new Checkpoints(this.#database, 'receiver', now);
  }

  /**
   * A ledger as it is at one moment, to read only: evidence stays as it was found.
   * @throws OperationalError `ledger-unreadable`
   */
  static read<T>(path: string, work: (ledger: ReceiverLedger) => T): T {
    return readLedger(path, (database) => {
      const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
      if (version === RECEIVER_MIGRATIONS.length) return work(new ReceiverLedger(database));
      const text = `the ledger ${path} has schema ${String(version)}, this Sluice reads ${String(RECEIVER_MIGRATIONS.length)}; use the Sluice that wrote it`;
      throw new OperationalError('ledger-unreadable', text, { retryable: false });
    });
  }

  get events(): EventChain {
    return this.#events;
  }

  /** What bundles were received under. */
  get archive(): Archive {
    return new Archive(this.#database, this.#events, this.#now);
  }

  neededFrom(): number {
    return this.keeping.neededFrom();
  }

  close(): void {
    this.#database.close();
  }

  /** Why nothing can be written down, by the last try; undefined while it can. */
  get fault(): OperationalError | undefined {
    return faultOf(this.#database);
  }

  bundle(id: string): BundleRecord | undefined {
    const row = this.#database.prepare('SELECT * FROM bundles WHERE id = ?').get(id);
    return row === undefined ? undefined : recordOf(row as unknown as Row);
  }

  /** The bundle that took a sequence number of a channel. */
  takenBy(channel: string, sequence: number): Digest | undefined {
    const row = this.#database
      .prepare('SELECT id FROM bundles WHERE channel = ? AND sequence = ? AND sequence > 0')
      .get(channel, sequence);
    return (row as { id: Digest } | undefined)?.id;
  }

  /** A transport statement holds: its number is taken. That another channel refused it before counts no more. */
  received(
    {
      seconds,
      previous,
      ...bundle
    }: Pick<BundleRecord, 'id' | 'channel' | 'sequence' | 'release' | 'bytes'> & {
      seconds?: number;
      previous?: Digest | null;
    },
    signer?: string,
  ): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(`DELETE FROM bundles WHERE id = ? AND channel <> ? AND state = 'quarantined' AND sequence = 0`)
        .run(bundle.id, bundle.channel);
      this.#insert({ ...bundle, name: '', state: 'receiving', code: '', detail: '' });
      const { channel, sequence, release } = bundle;
      if (previous !== undefined && previous !== null)
        this.#database
          .prepare('INSERT OR REPLACE INTO previous (channel, sequence, bundle) VALUES (?, ?, ?)')
          .run(channel, sequence - 1, previous);
      this.signatures.note(bundle.id, 'transport', signer === undefined ? [] : [signer]);
      this.#events.append('received', bundle.id, { channel, sequence, release, seconds, ...(signer && { signer }) });
    });
  }

  /** Refuses a bundle, whether its statement was recorded before or not. */
  quarantine(bundle: Pick<BundleRecord, 'id' | 'channel'>, code: string, detail: string): void {
    transaction(this.#database, () => {
      const { id, channel } = bundle;
      const state = this.bundle(id)?.state;
      if (state === undefined) {
        this.#insert({ id, channel, sequence: 0, release: id, name: '', bytes: 0, state: 'quarantined', code, detail });
      } else if (state === 'receiving' || state === 'quarantined') this.#set(id, 'quarantined', code, detail);
      else throw new Error(`bundle ${id} is ${state} and cannot be refused any more`);
      this.#events.append('quarantined', id, { channel, code, detail });
    });
  }

  /** The bundle is verified and its blobs are in the store: record, versions and outbox in one transaction. */
  publish(
    id: Digest,
    name: string,
    versions: readonly { readonly type: string; readonly target: string; readonly version: number }[],
    body: Readonly<Record<string, unknown>> & { readonly signers?: readonly string[]; readonly content?: Digest },
  ): void {
    transaction(this.#database, () => {
      const bundle = this.bundle(id);
      if (bundle?.state !== 'receiving')
        throw new Error(`bundle ${id} is ${bundle?.state ?? 'unknown'}, not receiving`);
      this.#database.prepare('UPDATE bundles SET name = ? WHERE id = ?').run(name, id);
      this.#set(id, 'published', '', '');
      this.#database.prepare('DELETE FROM dropped WHERE bundle = ?').run(id);
      for (const { type, target, version } of versions) {
        this.#database
          .prepare(
            `INSERT INTO versions (channel, type, target, version) VALUES (?, ?, ?, ?)
             ON CONFLICT (channel, type, target) DO UPDATE SET version = max(version, excluded.version)`,
          )
          .run(bundle.channel, type, target, version);
      }
      if (body.content !== undefined)
        this.#database.prepare('INSERT OR REPLACE INTO contents (bundle, content) VALUES (?, ?)').run(id, body.content);
      this.#database.prepare('INSERT OR IGNORE INTO outbox (bundle, queued) VALUES (?, 0)').run(id);
      this.signatures.note(id, 'release', body.signers ?? []);
      this.#events.append('published', id, body);
    });
  }

  versionOf(channel: string, type: string, target: string): number | undefined {
    const row = this.#database
      .prepare('SELECT version FROM versions WHERE channel = ? AND type = ? AND target = ?')
      .get(channel, type, target);
    return (row as { version: number } | undefined)?.version;
  }

  /**
   * The bundle by which a release was let in: published, and not found wanting by the importer. By its envelope in this channel, or by the statement in it,
   * which has many envelopes, in any: it names no channel, and the sender has the transport keys of all.
   */
  publishedAs(channel: string, release: Digest, content?: Digest): Digest | undefined {
    const row = this.#database
      .prepare(
        `SELECT number, id FROM bundles WHERE channel = :channel AND release = :release AND state IN ('published', 'queued', 'imported')
         UNION SELECT number, id FROM contents CROSS JOIN bundles ON id = bundle
         WHERE content = :content AND state IN ('published', 'queued', 'imported')
         ORDER BY number LIMIT 1`,
      )
      .get({ channel, release, content: content ?? '' });
    return (row as { id: Digest } | undefined)?.id;
  }

  /** The latest bundle of a release that the importer took: of the last few that came, since they may come out of order. */
  lastImported(channel: string, release: Digest): BundleRecord | undefined {
    const few = `SELECT * FROM bundles WHERE channel = ? AND release = ? AND state = 'imported' ORDER BY number DESC LIMIT 16`;
    const row = this.#database.prepare(`SELECT * FROM (${few}) ORDER BY sequence DESC`).get(channel, release);
    return row === undefined ? undefined : recordOf(row as unknown as Row);
  }

  /** Bundles without a receipt, oldest first: the jobs that the queue must hold. */
  outbox(): { readonly bundle: Digest; readonly queued: boolean }[] {
    const rows = this.#database
      .prepare(
        'SELECT bundle, outbox.queued AS queued FROM outbox CROSS JOIN bundles ON bundles.id = bundle ORDER BY number',
      )
      .all() as unknown as { bundle: Digest; queued: number }[];
    return rows.map(({ bundle, queued }) => ({ bundle, queued: queued === 1 }));
  }

  /** True for a bundle that was published and whose job is not in the queue yet: what the queue has of it is older. */
  isUnqueued(bundle: Digest): boolean {
    const row = this.#database.prepare('SELECT 1 FROM outbox WHERE bundle = ? AND queued = 0').get(bundle);
    return row !== undefined;
  }

  /** When the bundle was published that waits longest for its receipt, Unix milliseconds. */
  waitingSince(): number | undefined {
    const row = this.#database
      .prepare("SELECT min(time) AS since FROM outbox CROSS JOIN events ON subject = bundle AND kind = 'published'")
      .get() as { since: number | null } | undefined;
    return row?.since ?? undefined;
  }

  /** Greatest versions accepted of a type of artifact. */
  versionsOf(type: string): { readonly channel: string; readonly target: HostileText; readonly version: number }[] {
    const rows = this.#database.prepare('SELECT channel, target, version FROM versions WHERE type = ?').all(type);
    return (rows as unknown as { channel: string; target: string; version: number }[]).map((row) => ({
      ...row,
      target: hostile(row.target),
    }));
  }

  markQueued(bundle: Digest): void {
    transaction(this.#database, () => {
      this.#database.prepare('UPDATE outbox SET queued = 1 WHERE bundle = ?').run(bundle);
      if (this.bundle(bundle)?.state === 'published') this.#set(bundle, 'queued', '', '');
    });
  }

  /**
   * The importer's signed receipt, checked by the caller: the job leaves the outbox. False, and nothing is recorded, when the
   * bundle was never published: then there was no job that could have a result.
   */
  recordReceipt(
    id: Digest,
    result: 'imported' | 'failed',
    code: string,
    envelope: Uint8Array,
    senderSeconds?: number,
  ): boolean {
    return transaction(this.#database, () => {
      const state = this.bundle(id)?.state;
      // Receiving again since: what the importer found is known by now.
      if (this.keeping.isDamaged(id)) return true;
      if (state === undefined || state === 'receiving') return false;
      if (state === 'quarantined' && !this.refusals.withdrawn(id)) return false;
      this.#database
        .prepare(
          'INSERT INTO receipts (bundle, envelope) VALUES (?, ?) ON CONFLICT (bundle) DO UPDATE SET envelope = excluded.envelope',
        )
        .run(id, envelope);
      this.#database.prepare('DELETE FROM outbox WHERE bundle = ?').run(id);
      this.#set(id, result, result === 'imported' ? '' : code, '');
      this.#events.append(result, id, { code, senderSeconds });
      return true;
    });
  }

  receipt(id: string): Uint8Array | undefined {
    const row = this.#database.prepare('SELECT envelope FROM receipts WHERE bundle = ?').get(id);
    return (row as { envelope: Uint8Array } | undefined)?.envelope;
  }

  /** What a heartbeat says of a channel; never goes back. */
  announce(channel: string, sequence: number, head: Digest | null, senderSeconds: number): void {
    transaction(this.#database, () => {
      this.#database
        .prepare(
          `INSERT INTO announced (channel, sequence, head, sender_seconds) VALUES (?, ?, ?, ?)
           ON CONFLICT (channel) DO UPDATE SET sequence = excluded.sequence, head = excluded.head, sender_seconds = excluded.sender_seconds
           WHERE excluded.sequence > sequence`,
        )
        .run(channel, sequence, head, senderSeconds);
    });
  }

  /** Sequence numbers up to the last one known, by statement or heartbeat, that no bundle took: at most `limit`, lowest first. */
  missing(channel: string, limit: number): number[] {
    const last = this.lastKnown(channel);
    const { upTo, gaps } = this.#gaps.get(channel) ?? { upTo: 0, gaps: [] };
    const missing = gaps.filter((sequence) => this.takenBy(channel, sequence) === undefined);
    let next = upTo + 1;
    const fill = (end: number): void => {
      for (; next < end && missing.length < limit; next += 1) missing.push(next);
    };
    const above = 'SELECT sequence FROM bundles WHERE channel = ? AND sequence > ? AND sequence > 0 ORDER BY sequence';
    for (const row of this.#database.prepare(above).iterate(channel, upTo)) {
      const taken = Number(row.sequence);
      fill(taken);
      if (next < taken) break;
      next = taken + 1;
    }
    fill(last + 1);
    this.#gaps.set(channel, { upTo: next - 1, gaps: missing });
    return missing.slice(0, limit);
  }

  /** As `missing`, with what the sender's history says of each. */
  missingBundles(channel: string, limit: number): MissingBundle[] {
    const named = this.#database.prepare('SELECT bundle, name, bytes FROM named WHERE channel = ? AND sequence = ?');
    return this.missing(channel, limit).map((sequence) => {
      const row = named.get(channel, sequence) as { bundle: Digest; name: string; bytes: number } | undefined;
      return row === undefined ? { sequence } : { sequence, ...row, name: hostile(row.name) };
    });
  }

  /** The sender's signed list of its latest bundles: those that have not come get their names. */
  recordHistory(
    channel: string,
    bundles: readonly {
      readonly sequence: number;
      readonly bundle: Digest;
      readonly name: string;
      readonly bytes: number;
    }[],
  ): void {
    const newest = bundles.at(-1);
    if (newest !== undefined) this.announce(channel, newest.sequence, newest.bundle, 0);
    transaction(this.#database, () => {
      const known = 'SELECT 1 FROM bundles WHERE bundles.channel = named.channel AND bundles.sequence = named.sequence';
      this.#database.prepare(`DELETE FROM named WHERE channel = ? AND EXISTS (${known})`).run(channel);
      const insert = this.#database.prepare(
        `INSERT INTO named (channel, sequence, bundle, name, bytes) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (channel, sequence) DO UPDATE SET bundle = excluded.bundle, name = excluded.name, bytes = excluded.bytes`,
      );
      for (const { sequence, bundle, name, bytes } of bundles) {
        if (this.takenBy(channel, sequence) === undefined) insert.run(channel, sequence, bundle, name, bytes);
      }
    });
  }

  /** The greatest number of a channel that a statement or a heartbeat told of. */
  lastKnown(channel: string): number {
    const row = this.#database
      .prepare(
        `SELECT max(
           coalesce((SELECT max(sequence) FROM bundles WHERE channel = :channel AND sequence > 0), 0),
           coalesce((SELECT sequence FROM announced WHERE channel = :channel), 0)
         ) AS last`,
      )
      .get({ channel });
    return Number(row?.last ?? 0);
  }

  /** A ticket is issued: what it says, word for word. */
  ticketIssued(
    channel: string,
    sequence: number,
    body: Readonly<Record<string, unknown>>,
    actor: Actor = NOBODY,
  ): void {
    transaction(this.#database, () => {
      this.#events.append('ticket', `${channel}/${String(sequence)}`, { ...body, ...actor });
    });
  }

  count(state: BundleState): number {
    return Number(this.#database.prepare('SELECT count(*) AS n FROM bundles WHERE state = ?').get(state)?.n ?? 0);
  }

  /** Bundles in a state, oldest first. */
  inState(state: BundleState): BundleRecord[] {
    const rows = this.#database.prepare('SELECT * FROM bundles WHERE state = ? ORDER BY number').all(state);
    return (rows as unknown as Row[]).map(recordOf);
  }

  /** Newest first; `before` is the `next` of the page before. */
  list(
    limit: number,
    before?: number,
    filter?: BundleFilter,
  ): { readonly bundles: readonly BundleRecord[]; readonly next: number | undefined } {
    return bundlePage(this.#database, recordOf, limit, before, filter);
  }

  #insert(bundle: Omit<Row, 'number' | 'first_seen' | 'changed'>): void {
    const { id, channel, sequence, release, name, state, code, detail, bytes } = bundle;
    const now = this.#now();
    this.#database
      .prepare(
        `INSERT INTO bundles (id, channel, sequence, release, name, state, code, detail, bytes, first_seen, changed)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(id, channel, sequence, release, name, state, code, detail, bytes, now, now);
  }

  #set(id: Digest, state: BundleState, code: string, detail: string): void {
    this.#database
      .prepare('UPDATE bundles SET state = ?, code = ?, detail = ?, changed = ? WHERE id = ?')
      .run(state, code, detail, this.#now(), id);
  }
}
