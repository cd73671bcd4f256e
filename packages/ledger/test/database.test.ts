import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { ImporterLedger, openDatabase, ReceiverLedger, SenderLedger, transaction } from '@sluice/ledger';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { codeOf, digest, newPath, tamper, valueOf } from './ledgers.ts';

const LEDGERS = { sender: SenderLedger, receiver: ReceiverLedger, importer: ImporterLedger };

describe('a ledger file', () => {
  it('is written ahead and synced at every commit, private, and half a MiB of it in memory', () => {
    const path = newPath();
    const database = openDatabase(path, []);
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
    expect(database.prepare('PRAGMA cache_size').get()).toEqual({ cache_size: -512 });
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    database.close();
  });

  it('is brought forward step by step, keeping what it holds', () => {
    const path = newPath();
    const first = 'CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);';
    openDatabase(path, [first]).close();
    const steps = [first, 'ALTER TABLE a ADD COLUMN y INTEGER;', 'UPDATE a SET y = x + 1;'];
    openDatabase(path, steps).close();
    expect(valueOf(path, 'SELECT y FROM a')).toBe(8);
    expect(valueOf(path, 'PRAGMA user_version')).toBe(3);
    openDatabase(path, steps).close();
    expect(valueOf(path, 'SELECT count(*) FROM a')).toBe(1);
  });

  it('stays at the last whole step when one fails', () => {
    const path = newPath();
    const steps = ['CREATE TABLE a (x INTEGER);', 'INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1);'];
    expect(() => openDatabase(path, steps)).toThrow('nowhere');
    expect(valueOf(path, 'PRAGMA user_version')).toBe(1);
    expect(valueOf(path, 'SELECT count(*) FROM a')).toBe(0);
  });

  it('prepares each statement once', () => {
    const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
    onTestFinished(() => {
      prepare.mockRestore();
    });
    const ledger = new ReceiverLedger(newPath());
    const take = (sequence: number): void => {
      const id = digest(String(sequence));
      ledger.received({ id, channel: 'prod', sequence, release: digest('release'), bytes: 9 });
      ledger.publish(id, 'name', [], {});
      ledger.markQueued(id);
      ledger.recordReceipt(id, 'imported', '', Buffer.from('{}'));
      expect(ledger.bundle(id)?.state).toBe('imported');
      expect(ledger.list(2).bundles[0]?.sequence).toBe(sequence);
      expect(ledger.missing('prod', 10)).toEqual([]);
      expect(ledger.events.verify()).toMatchObject({ ok: true, events: sequence * 3 });
    };
    take(1);
    const once = prepare.mock.calls.length;
    expect(once).toBeGreaterThan(0);
    for (let sequence = 2; sequence < 10; sequence += 1) take(sequence);
    expect(prepare.mock.calls.length).toBe(once);
    ledger.close();
  });

  it.each(Object.entries(LEDGERS))('of the %s from its first schema opens, and its chain holds', (_name, Ledger) => {
    const path = newPath();
    new Ledger(path).close();
    const latest = valueOf(path, 'PRAGMA user_version');
    const later = ['event_subject', 'bundle_state', 'bundle_release', 'bundle_unfinished', 'event_repair'];
    const tables = [
      'named',
      'progress',
      'settings',
      'revoked',
      'policy',
      'signatures',
      'withdrawn',
      ...['checkpoints', 'dropped', 'behind', 'heads', 'unconfirmed', 'archive', 'contents', 'previous'],
    ];
    const dropped = [
      ...later.map((name) => `INDEX IF EXISTS ${name}`),
      ...tables.map((name) => `TABLE IF EXISTS ${name}`),
    ];
    tamper(path, ...dropped.map((what) => `DROP ${what}`), 'PRAGMA user_version = 1');
    const ledger = new Ledger(path);
    expect(ledger.events.verify().ok).toBe(true);
    ledger.close();
    expect(valueOf(path, 'PRAGMA user_version')).toBe(latest);
  });

  it.each(Object.entries(LEDGERS))('of the %s is refused when a later version wrote it', (_name, Ledger) => {
    const path = newPath();
    new Ledger(path).close();
    tamper(path, 'PRAGMA user_version = 99');
    expect(codeOf(() => new Ledger(path))).toBe('ledger-newer');
    expect(valueOf(path, 'PRAGMA user_version')).toBe(99);
  });

  it('is refused when it is something else', () => {
    const path = newPath();
    mkdirSync(dirname(path));
    writeFileSync(path, 'x'.repeat(5000));
    expect(codeOf(() => new SenderLedger(path))).toBe('ledger-unreadable');
    expect(codeOf(() => new SenderLedger(dirname(path)))).toBe('ledger-io');
  });

  it('forgets a transaction that throws, and goes on', () => {
    const database = openDatabase(newPath(), ['CREATE TABLE a (x INTEGER UNIQUE);']);
    const put = (x: number): void => {
      database.prepare('INSERT INTO a VALUES (?)').run(x);
    };
    const fail = (): void => {
      transaction(database, () => {
        put(1);
        throw new Error('mine');
      });
    };
    expect(fail).toThrow('mine');
    transaction(database, () => {
      put(1);
    });
    expect(() => {
      transaction(database, () => {
        put(2);
        put(1);
      });
    }).toThrow('UNIQUE');
    expect(database.prepare('SELECT x FROM a').all()).toEqual([{ x: 1 }]);
    database.close();
  });
});

describe('kill -9 of a process that writes without pause', () => {
  it('loses no entry that was reported as written, and the chain holds', { timeout: 60_000 }, async () => {
    const path = newPath();
    let reported = 0;
    for (const lines of [1, 7, 40]) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      let left = lines;
      for await (const line of createInterface(child.stdout)) {
        reported = Number(line);
        left -= 1;
        // What it has written since is read to the end of the pipe.
        if (left === 0) child.kill('SIGKILL');
      }
      await ended;
      expect(left).toBeLessThanOrEqual(0);
      const ledger = new SenderLedger(path);
      const { sequence } = ledger.head('prod');
      expect(ledger.events.verify()).toMatchObject({ ok: true, events: sequence });
      // One more may have been committed than it had time to report.
      expect([reported, reported + 1]).toContain(sequence);
      expect(ledger.list(1).bundles[0]?.sequence).toBe(sequence);
      ledger.close();
    }
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env.CI === 'true') throw new Error('mounting a small file system needs root');

describe.skipIf(!isRoot)(`on a full disk${isRoot ? '' : ': mounting needs root'}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-ledger-full-'));
  if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]);
  const ledger = isRoot ? new ImporterLedger(join(dir, 'ledger.sqlite')) : undefined;
  const receiver = isRoot ? new ReceiverLedger(join(dir, 'receiver.sqlite')) : undefined;
  afterAll(() => {
    ledger?.close();
    receiver?.close();
    execFileSync('umount', [dir]);
    rmSync(dir, { recursive: true });
  });

  it('a ledger says so, keeps what it has, and goes on when there is room', () => {
    if (ledger === undefined) throw new Error('no ledger');
    let written = 0;
    const announce = (sequence: number): string => codeOf(() => receiver?.announce('prod', sequence, null, 1));
    expect(announce(1)).toBe('no error');
    const fill = (most: number): string =>
      codeOf(() => {
        for (; written < most; written += 1) ledger.recordImported(digest(String(written)), 'prod', written + 1);
      });
    expect(fill(100_000)).toBe('ledger-full');
    expect(written).toBeGreaterThan(10);
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: written });
    for (let sequence = 2; announce(sequence) === 'no error'; sequence += 1) expect(receiver?.fault).toBeUndefined();
    expect(receiver?.fault?.code).toBe('ledger-full');
    execFileSync('mount', ['-o', 'remount,size=8m', dir]);
    expect(fill(written + 100)).toBe('no error');
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: written });
    // What changes nothing is no proof that there is room.
    expect(announce(0)).toBe('no error');
    expect(receiver?.fault?.code).toBe('ledger-full');
    expect(announce(1_000_000)).toBe('no error');
    expect(receiver?.fault).toBeUndefined();
  });
});
