// In the place of `node:sqlite` for the code that runs in a world: real SQLite in memory. What is committed survives, what is not does not,
// which is what WAL with synchronous=FULL gives on a disk that keeps its word.
import { DatabaseSync as RealDatabase, type StatementSync } from 'node:sqlite';
import { Crash, kernel, type Process, self } from '../kernel.ts';
import { mounts } from '../mounts.ts';

export interface DatabasePolicy {
  /** An error of SQLite for this transaction, as a number of sqlite.org/rescode.html. */
  fault(): number | undefined;
  /** Ends the process during the commit. */
  strikes(process: Process): boolean;
  strike(process: Process): void;
}

/** The databases of a world, by path. */
export class Databases {
  readonly policy: DatabasePolicy;
  readonly #open = new Map<string, RealDatabase>();
  readonly #prepared = new WeakMap<RealDatabase, Map<string, StatementSync>>();

  constructor(policy: DatabasePolicy) {
    this.policy = policy;
  }

  at(path: string): RealDatabase {
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    const made = new RealDatabase(':memory:');
    this.#open.set(path, made);
    return made;
  }

  /** One that nobody has open, as whoever opens it next will find it; undefined while it has no such table. */
  settled(path: string, table: string): RealDatabase | undefined {
    const database = this.at(path);
    if (database.isTransaction) database.exec('ROLLBACK');
    const found = database.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(table);
    return found === undefined ? undefined : database;
  }

  /** A statement, compiled once for each database. */
  prepared(database: RealDatabase, sql: string): StatementSync {
    const known = this.#prepared.get(database) ?? new Map<string, StatementSync>();
    this.#prepared.set(database, known);
    const statement = known.get(sql) ?? database.prepare(sql);
    known.set(sql, statement);
    return statement;
  }

  /** A copy of a database, as a backup has it; what is given puts it back. */
  snapshot(path: string): () => void {
    const image = this.#open.get(path)?.serialize();
    return () => {
      this.#open.get(path)?.close();
      this.#open.delete(path);
      if (image !== undefined) this.at(path).deserialize(image);
    };
  }

  close(): void {
    for (const database of this.#open.values()) database.close();
    this.#open.clear();
  }
}

let attached: Databases | undefined;

export function attachDatabases(databases: Databases | undefined): void {
  attached = databases;
}

function databases(): Databases {
  if (attached === undefined) throw new Error('no databases are attached');
  return attached;
}

const sqliteError = (errcode: number): Error =>
  Object.assign(new Error(`simulated error ${String(errcode)}`), { errcode, errstr: 'simulated' });

export class DatabaseSync {
  readonly #path: string;
  readonly #real: RealDatabase;
  #open = false;

  constructor(path: string, _options?: unknown) {
    this.#path = path;
    this.#real = databases().at(path);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get isTransaction(): boolean {
    return this.#real.isTransaction;
  }

  open(): void {
    self();
    this.#open = true;
    // What a process left that died in a transaction.
    if (this.#real.isTransaction) this.#real.exec('ROLLBACK');
  }

  close(): void {
    this.#open = false;
  }

  prepare(sql: string): StatementSync {
    self();
    return databases().prepared(this.#real, sql);
  }

  exec(sql: string): void {
    const process = self();
    const { policy } = databases();
    const ends = sql === 'COMMIT';
    if (sql === 'BEGIN IMMEDIATE' || ends) {
      const fault = policy.fault();
      if (fault !== undefined) throw sqliteError(fault);
    }
    if (!ends || !policy.strikes(process)) {
      this.#real.exec(sql);
      if (ends) this.#settle();
      return;
    }
    const reached = kernel().random.chance(0.5);
    this.#real.exec(reached ? 'COMMIT' : 'ROLLBACK');
    if (reached) this.#settle();
    policy.strike(process);
    throw new Crash();
  }

  /** SQLite syncs the directory of its journal, and with it the name of the database, if it has a file here. */
  #settle(): void {
    const { disk, parts } = mounts().place(this.#path);
    disk.settle(parts.slice(0, -1));
  }
}
