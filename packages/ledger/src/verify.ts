import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { DatabaseSync } from 'node:sqlite';
import { OperationalError } from '@sluice/ports';
import { checkpointMessage, checkpointsIn, type CheckpointVerifier, type LedgerRole } from './checkpoints.ts';
import { verifyChain } from './events.ts';

/** What is wrong with a ledger, and where. */
export interface LedgerFault {
  readonly what: 'chain' | 'checkpoint' | 'bundle';
  /** Number of the entry. */
  readonly entry?: number;
  readonly bundle?: string;
  readonly why: string;
}

export interface LedgerReport {
  readonly role: LedgerRole;
  readonly schema: number;
  /** Entries that are there, and the number of the last. */
  readonly entries: number;
  readonly last: number;
  /** Hash of the last entry: what to write down elsewhere. */
  readonly head: string;
  readonly checkpoints: number;
  /** Of these, how many were checked against a key. */
  readonly signed: number;
  readonly bundles: number;
  readonly faults: readonly LedgerFault[];
}

/** Faults of bundles that are named. */
const NAMED = 100;
/** The table that tells whose ledger it is. */
const MARKS: readonly (readonly [string, LedgerRole])[] = [
  ['session', 'sender'],
  ['announced', 'receiver'],
  ['imported', 'importer'],
];

/**
 * Opens a ledger to read only, while its daemon runs or as a copy, and gives what `work` makes of it as it is at one moment.
 * @throws OperationalError `ledger-unreadable`
 */
export function readLedger<T>(path: string, work: (database: DatabaseSync) => T): T {
  const database = openToRead(path);
  try {
    database.exec('BEGIN');
    return work(database);
  } catch (cause) {
    if (!(cause instanceof Error) || !('errcode' in cause)) throw cause;
    throw new OperationalError('ledger-unreadable', `the ledger ${path} cannot be read (${cause.message})`, {
      retryable: false,
      cause,
    });
  } finally {
    database.close();
  }
}

/** A copy on a medium that is read only has no place for what SQLite shares between processes: nobody else writes there either. */
function openToRead(path: string): DatabaseSync {
  const open = (place: string | URL): DatabaseSync => {
    const database = new DatabaseSync(place, { readOnly: true, timeout: 5000 });
    try {
      database.prepare('PRAGMA user_version').get();
      database.prepare('SELECT count(*) FROM sqlite_schema').get();
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  };
  try {
    return open(path);
  } catch (cause) {
    try {
      const url = pathToFileURL(path);
      url.searchParams.set('immutable', '1');
      return open(url);
    } catch {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new OperationalError('ledger-unreadable', `the ledger ${path} cannot be read (${why})`, {
        retryable: false,
        cause,
      });
    }
  }
}

/**
 * The chain, the checkpoints, and what the bundles' rows say against the entries about them.
 * @param verifiers keys of which a checkpoint may be; without any, signatures are not checked
 * @throws OperationalError `ledger-unreadable`
 */
export function verifyLedger(path: string, verifiers: readonly CheckpointVerifier[] = []): LedgerReport {
  return readLedger(path, (database) => {
    const role = roleOf(database, path);
    const chain = verifyChain(database);
    const checkpoints = checkpointsIn(database);
    const rows = role === 'importer' ? [] : bundleFaults(database, role);
    const bundles = role === 'importer' ? 'imported' : 'bundles';
    return {
      role,
      schema: Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0),
      entries: chain.events,
      last: chain.ok ? chain.last : chain.firstBad - 1,
      head: chain.ok ? chain.head : '',
      checkpoints: checkpoints.length,
      signed: verifiers.length === 0 ? 0 : checkpoints.length,
      bundles: Number(database.prepare(`SELECT count(*) AS n FROM ${bundles}`).get()?.n ?? 0),
      faults: [
        ...(chain.ok ? [] : [{ what: 'chain', entry: chain.firstBad, why: chain.why } as const]),
        ...(verifiers.length === 0 ? [] : checkpointFaults(database, role, verifiers)),
        ...rows,
      ],
    };
  });
}

function roleOf(database: DatabaseSync, path: string): LedgerRole {
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  const names = new Set(tables.map(({ name }) => name));
  const role = names.has('events') ? MARKS.find(([table]) => names.has(table))?.[1] : undefined;
  if (role !== undefined) return role;
  throw new OperationalError('ledger-unreadable', `${path} is no ledger of Sluice`, { retryable: false });
}

function checkpointFaults(
  database: DatabaseSync,
  role: LedgerRole,
  verifiers: readonly CheckpointVerifier[],
): LedgerFault[] {
  return checkpointsIn(database).flatMap((checkpoint): LedgerFault[] => {
    const { seq: entry, keyid, signature } = checkpoint;
    const verifier = verifiers.find((each) => each.keyid === keyid);
    if (verifier === undefined)
      return [{ what: 'checkpoint', entry, why: `it is signed by a key that was not named, ${keyid}` }];
    if (verifier.verify(checkpointMessage(role, checkpoint), signature)) return [];
    return [{ what: 'checkpoint', entry, why: 'its signature does not hold' }];
  });
}

interface BundleRow {
  readonly id: string;
  readonly channel: string;
  readonly sequence: number;
  readonly release: string;
  readonly state: string;
  readonly envelope?: Uint8Array;
}

/** Which entry a bundle in a state must have, and with what in it. */
const RECEIVER_ENTRIES: Readonly<Record<string, readonly string[]>> = {
  receiving: ['received'],
  published: ['published'],
  queued: ['published'],
  imported: ['imported'],
  failed: ['failed'],
  quarantined: ['quarantined', 'withdrawn'],
};

function bundleFaults(database: DatabaseSync, role: 'sender' | 'receiver'): LedgerFault[] {
  const about = database.prepare('SELECT kind, body FROM events WHERE subject = ? ORDER BY seq');
  // Entries before the first one that is there were let go, and with them what they said of old bundles.
  const first = (database.prepare('SELECT min(seq) AS seq FROM events').get() as { seq: number | null }).seq ?? 1;
  const faults: LedgerFault[] = [];
  for (const row of database.prepare('SELECT * FROM bundles ORDER BY number').iterate()) {
    const bundle = row as unknown as BundleRow;
    const entries = about.all(bundle.id) as unknown as { kind: string; body: string }[];
    const why = role === 'sender' ? senderFault(bundle, entries, first > 1) : receiverFault(bundle, entries, first > 1);
    if (why !== undefined) faults.push({ what: 'bundle', bundle: bundle.id, why });
    if (faults.length >= NAMED) break;
  }
  return faults;
}

type Entries = readonly { readonly kind: string; readonly body: string }[];

function receiverFault(
  { state, channel, sequence, release }: BundleRow,
  entries: Entries,
  cut: boolean,
): string | undefined {
  const wanted = RECEIVER_ENTRIES[state];
  if (wanted === undefined) return `it is in the state "${state}", which there is none of`;
  if (!entries.some(({ kind }) => wanted.includes(kind)))
    return cut ? undefined : `it is ${state}, and no entry says so`;
  const received = entries.find(({ kind }) => kind === 'received');
  return received === undefined || sequence === 0 ? undefined : differs(received.body, { channel, sequence, release });
}

function senderFault(
  { id, envelope, channel, sequence, release }: BundleRow,
  entries: Entries,
  cut: boolean,
): string | undefined {
  if (envelope !== undefined && `sha256:${createHash('sha256').update(envelope).digest('hex')}` !== id)
    return 'its envelope is not what its id says';
  const sealed = entries.find(({ kind }) => kind === 'sealed');
  if (sealed === undefined) return cut ? undefined : 'no entry says that it was sealed';
  return differs(sealed.body, { channel, sequence, release });
}

function differs(body: string, row: Readonly<Record<string, unknown>>): string | undefined {
  const said = JSON.parse(body) as Readonly<Record<string, unknown>>;
  const name = Object.keys(row).find((key) => said[key] !== row[key]);
  return name === undefined
    ? undefined
    : `its ${name} is ${String(row[name])}, and its entry says ${String(said[name])}`;
}
