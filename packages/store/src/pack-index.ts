import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type Digest, hexOf } from '@sluice/ports';

/** Where a blob lies in a pack that the store keeps. */
export interface PackedPlace {
  readonly pack: Digest;
  readonly offset: number;
  readonly size: number;
}

/** A blob of a pack. */
export interface Member {
  readonly digest: Digest;
  readonly offset: number;
  readonly size: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS packs (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, blobs INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS blobs (digest BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL)
    WITHOUT ROWID;
`;
const FIND = 'SELECT packs.digest AS pack, offset, size FROM blobs JOIN packs ON number = pack WHERE blobs.digest = ?';
const FILE_MODE = 0o640;
const BUSY_MS = 5000;
/** Blobs listed at a time. */
const PAGE = 1000;
// Result codes of SQLite (sqlite.org/rescode.html): a full disk, and a change that nobody ended.
const FULL = 13;
const READONLY_ROLLBACK = 776;

/**
 * Which blob lies where in which pack. Rollback journal and not WAL: who may only read the store reads this too. One process changes it at a time, and it
 * is durable when a change returns. Everything in it can be told from the packs.
 */
export class PackIndex {
  readonly #database: DatabaseSync;
  /** By their text. One made anew for each call is held by SQLite until garbage is collected: some KiB each, and hundreds of them in between. */
  readonly #statements = new Map<string, StatementSync>();

  private constructor(path: string, readOnly: boolean) {
    this.#database = new DatabaseSync(path, { readOnly, timeout: BUSY_MS, open: false });
    guarded(() => {
      this.#database.open();
      if (!readOnly) {
        // All that one bundle changes is held until its commit: until then others read.
        this.#database.exec(`PRAGMA synchronous = FULL; PRAGMA cache_spill = OFF; ${SCHEMA}`);
      }
      // What is no index is told when it is opened.
      this.#statement(FIND);
    });
  }

  static open(path: string): PackIndex {
    // SQLite's own mode would let everybody read.
    closeSync(openSync(path, 'a', FILE_MODE));
    return new PackIndex(path, false);
  }

  /** Undefined while there is none. What a process left that was killed in a change is rolled back first, which takes leave to write. */
  static openToRead(path: string): PackIndex | undefined {
    if (!existsSync(path)) return undefined;
    try {
      return new PackIndex(path, true);
    } catch (error) {
      const { errcode } = (error as Error).cause as { readonly errcode?: number };
      if (errcode !== READONLY_ROLLBACK) throw error;
      PackIndex.open(path).close();
      return new PackIndex(path, true);
    }
  }

  close(): void {
    this.#database.close();
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#database.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  find(digest: Digest): PackedPlace | undefined {
    const row = guarded(() => this.#statement(FIND).get(keyOf(digest)));
    if (row === undefined) return undefined;
    const { pack, offset, size } = row as { pack: Uint8Array; offset: number; size: number };
    return { pack: digestOf(pack), offset, size };
  }

  /** All blobs, by digest. */
  *list(): Generator<{ readonly digest: Digest; readonly size: number }> {
    const query = 'SELECT digest, size FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?';
    for (let last: Uint8Array = new Uint8Array(0); ;) {
      const rows = guarded(() => this.#statement(query).all(last, PAGE)) as unknown as {
        digest: Uint8Array;
        size: number;
      }[];
      for (const { digest, size } of rows) yield { digest: digestOf(digest), size };
      const end = rows.at(-1);
      if (end === undefined) return;
      last = end.digest;
    }
  }

  has(pack: Digest): boolean {
    const find = 'SELECT number FROM packs WHERE digest = ?';
    return guarded(() => this.#statement(find).get(keyOf(pack))) !== undefined;
  }

  /** In one transaction that nobody else's overlaps, durable on return. */
  change<T>(work: () => T): T {
    return guarded(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** Within `change`: the blobs of a pack are found there from now on. */
  add(pack: Digest, members: readonly Member[]): void {
    this.#statement('INSERT OR IGNORE INTO packs (digest, blobs) VALUES (?, 0)').run(keyOf(pack));
    const number = Number(this.#statement('SELECT number FROM packs WHERE digest = ?').get(keyOf(pack))?.number);
    const known = this.#statement('SELECT pack FROM blobs WHERE digest = ?');
    const less = this.#statement('UPDATE packs SET blobs = blobs - 1 WHERE number = ?');
    const put = this.#statement('INSERT OR REPLACE INTO blobs (digest, pack, offset, size) VALUES (?, ?, ?, ?)');
    for (const { digest, offset, size } of members) {
      const key = keyOf(digest);
      const before = known.get(key);
      if (before !== undefined) less.run(Number(before.pack));
      put.run(key, number, offset, size);
    }
    this.#statement('UPDATE packs SET blobs = blobs + ? WHERE number = ?').run(members.length, number);
  }

  /** Within `change`: the blob is in no pack any more. */
  remove(digest: Digest): void {
    const row = this.#statement('SELECT pack FROM blobs WHERE digest = ?').get(keyOf(digest));
    if (row === undefined) return;
    this.#statement('DELETE FROM blobs WHERE digest = ?').run(keyOf(digest));
    this.#statement('UPDATE packs SET blobs = blobs - 1 WHERE number = ?').run(Number(row.pack));
  }

  /** Within `change`: forgets the packs that nothing is found in any more, and gives them. */
  takeEmpty(): readonly Digest[] {
    const rows = this.#statement('DELETE FROM packs WHERE blobs = 0 RETURNING digest').all();
    return (rows as unknown as { digest: Uint8Array }[]).map(({ digest }) => digestOf(digest));
  }
}

const keyOf = (digest: Digest): Uint8Array => Buffer.from(hexOf(digest), 'hex');
const digestOf = (key: Uint8Array): Digest => `sha256:${Buffer.from(key).toString('hex')}`;

/** An error of SQLite as one of the system, which it is in the end. */
function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { errcode } = error as { readonly errcode?: number };
    if (!(error instanceof Error) || errcode === undefined) throw error;
    const code = (errcode & 0xff) === FULL ? 'ENOSPC' : 'EIO';
    throw Object.assign(new Error(`the index of packs: ${error.message}`, { cause: error }), {
      code,
      syscall: 'sqlite',
    });
  }
}
