import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { OperationalError } from '@sluice/ports';

/** One step of the schema; version n + 1 is reached by running migrations[n]. Steps are only ever added. */
export type Migration = string;

/**
 * Opens the database durable (WAL, synchronous=FULL) and brings its schema forward.
 * @throws OperationalError `ledger-newer` when a later Sluice wrote it, `ledger-unreadable` when it is no database of ours.
 */
export function openDatabase(path: string, migrations: readonly Migration[]): DatabaseSync {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path);
    database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;',
    );
  } catch (cause) {
    throw new OperationalError('ledger-unreadable', `the ledger ${path} cannot be opened; restore it from a backup`, {
      retryable: false,
      cause,
    });
  }
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (version > migrations.length) {
    database.close();
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
  return database;
}

/** Runs `work` in one transaction, durable on return. A throw rolls it back and goes on. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}
