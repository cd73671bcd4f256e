import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { OperationalError } from '@sluice/ports';

/** One step of the schema; version n + 1 is reached by running migrations[n]. Steps are only ever added. */
export type Migration = string;

// Primary result codes of SQLite (sqlite.org/rescode.html).
const BUSY = 5;
const LOCKED = 6;
const NOMEM = 7;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const PROTOCOL = 15;
const NOTADB = 26;
const WORLD: readonly number[] = [BUSY, LOCKED, NOMEM, READONLY, IOERR, CANTOPEN, PROTOCOL];

/**
 * SQLite keeps as many pages in memory as it is let, and would take its usual 2 MiB over the first 500 bundles (docs/adr/0011). What is
 * looked up is new, or the kernel has it.
 */
const CACHE_KIB = 512;

/**
 * Prepares each text once, and gives the same statement for it again. One made anew for each call is held by SQLite until garbage is
 * collected: some KiB each, freed late and in disorder (docs/adr/0011). So the texts are few, values are bound, and the rows of one
 * text are read to their end before it is run again.
 */
class LedgerDatabase extends DatabaseSync {
  readonly #statements = new Map<string, StatementSync>();

  override prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = super.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}

/** Why the last transaction that the disk failed did, until one is written again. */
const faults = new WeakMap<DatabaseSync, OperationalError>();

/** Why the ledger cannot be written, by its last try; undefined while it can. */
export const faultOf = (database: DatabaseSync): OperationalError | undefined => faults.get(database);

const changes = (database: DatabaseSync): number =>
  Number(database.prepare('SELECT total_changes() AS n').get()?.n ?? 0);

/** An error of disk or database, told as one of ours. Anything else is a mistake of ours and stays what it is. */
function ledgerFault(cause: unknown): unknown {
  const { errcode, errstr = '' } = cause as { readonly errcode?: number; readonly errstr?: string };
  if (!(cause instanceof Error) || errcode === undefined) return cause;
  const code = errcode & 0xff;
  if (code === FULL) {
    const text = 'the disk of the ledger is full; make room and it goes on by itself';
    return new OperationalError('ledger-full', text, { retryable: true, cause });
  }
  if (code === CORRUPT || code === NOTADB) {
    const text = `the ledger is damaged (${errstr}); restore it from a backup`;
    return new OperationalError('ledger-unreadable', text, { retryable: false, cause });
  }
  if (!WORLD.includes(code)) return cause;
  const text = `the ledger cannot be used (${errstr}); look at its disk and at who else has it open`;
  return new OperationalError('ledger-io', text, { retryable: true, cause });
}

/**
 * Opens the database durable (WAL, synchronous=FULL) and brings its schema forward.
 * @throws OperationalError `ledger-newer` when a later Sluice wrote it, `ledger-unreadable` when it is no database of ours,
 * `ledger-full` and `ledger-io`.
 */
export function openDatabase(path: string, migrations: readonly Migration[]): DatabaseSync {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new LedgerDatabase(path, { open: false });
  try {
    database.open();
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    database.exec(`PRAGMA busy_timeout = 5000; PRAGMA cache_size = -${String(CACHE_KIB)};`);
    migrate(database, path, migrations);
    return database;
  } catch (error) {
    if (database.isOpen) database.close();
    throw ledgerFault(error);
  }
}

function migrate(database: DatabaseSync, path: string, migrations: readonly Migration[]): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (version > migrations.length) {
    throw new OperationalError(
      'ledger-newer',
      `the ledger ${path} has schema ${String(version)}, this Sluice knows up to ${String(migrations.length)}; install the version that wrote it`,
      { retryable: false },
    );
  }
  migrations.slice(version).forEach((migration, i) => {
    transaction(database, () => {
      database.exec(migration);
      database.exec(`PRAGMA user_version = ${String(version + i + 1)}`);
    });
  });
}

/**
 * Runs `work` in one transaction, durable on return. A throw rolls it back and goes on.
 * @throws OperationalError `ledger-full`, `ledger-io`, `ledger-unreadable`
 */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  const before = faults.has(database) ? changes(database) : 0;
  try {
    database.exec('BEGIN IMMEDIATE');
    const result = work();
    database.exec('COMMIT');
    // One that changed nothing wrote nothing, and says nothing about the disk.
    if (faults.has(database) && changes(database) > before) faults.delete(database);
    return result;
  } catch (error) {
    // SQLite has already rolled back where the disk failed.
    if (database.isTransaction) database.exec('ROLLBACK');
    const fault = ledgerFault(error);
    if (fault !== error && fault instanceof OperationalError) faults.set(database, fault);
    throw fault;
  }
}
