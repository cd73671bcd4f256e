import { createHash } from 'node:crypto';
import { ImporterLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath, tamper, valueOf } from './ledgers.ts';

const BUNDLES = ['a', 'b', 'c', 'd', 'e'].map(digest);

/** A closed ledger with five entries; its path. */
function fiveEntries(): string {
  const path = newPath();
  const ledger = new ImporterLedger(path, () => 1_700_000_000_000);
  BUNDLES.forEach((bundle, i) => {
    ledger.recordImported(bundle, 'prod', i + 1);
  });
  ledger.close();
  return path;
}

function verify(path: string) {
  const ledger = new ImporterLedger(path);
  const check = ledger.events.verify();
  ledger.close();
  return check;
}

describe('the chain of entries', () => {
  it('holds, and its head is the hash of the last entry', () => {
    const path = fiveEntries();
    const head = valueOf(path, 'SELECT hash FROM events WHERE seq = 5');
    expect(verify(path)).toEqual({ ok: true, events: 5, last: 5, head });
    expect(verify(newPath())).toEqual({ ok: true, events: 0, last: 0, head: '0'.repeat(64) });
  });

  it('is what the README says', () => {
    const path = fiveEntries();
    const body = '{"channel":"prod","sequence":1}';
    const lines = ['sluice-ledger-1', '0'.repeat(64), '1', '1700000000000', 'imported', digest('a'), body];
    const hash = createHash('sha256')
      .update(`${lines.join('\n')}\n`)
      .digest('hex');
    expect(valueOf(path, 'SELECT hash FROM events WHERE seq = 1')).toBe(hash);
  });

  it.each([
    ['a changed body', `UPDATE events SET body = '{"channel":"prod","sequence":9}' WHERE seq = 3`, 3],
    ['a changed time', 'UPDATE events SET time = time + 1 WHERE seq = 3', 3],
    ['a changed kind', `UPDATE events SET kind = 'failed' WHERE seq = 3`, 3],
    ['a changed subject', `UPDATE events SET subject = '${digest('x')}' WHERE seq = 3`, 3],
    ['a changed hash', `UPDATE events SET hash = '${'1'.repeat(64)}' WHERE seq = 5`, 5],
    ['a deleted entry', 'DELETE FROM events WHERE seq = 3', 3],
    ['a deleted first entry', 'DELETE FROM events WHERE seq = 1', 1],
    [
      'a deleted entry, the others moved up',
      'DELETE FROM events WHERE seq = 3; UPDATE events SET seq = seq - 1 WHERE seq > 3',
      3,
    ],
    ['an inserted entry', `INSERT INTO events SELECT 6, time, kind, subject, body, hash FROM events WHERE seq = 5`, 6],
    [
      'two entries in the other order',
      'UPDATE events SET seq = 99 WHERE seq = 3; UPDATE events SET seq = 3 WHERE seq = 4; UPDATE events SET seq = 4 WHERE seq = 99',
      3,
    ],
  ])('shows %s', (_what, statement, firstBad) => {
    const path = fiveEntries();
    tamper(path, statement);
    expect(verify(path)).toMatchObject({ ok: false, events: firstBad - 1, firstBad });
  });

  it('shows a number that was left out, also where the hashes are right', () => {
    const path = fiveEntries();
    const lines = ['sluice-ledger-1', valueOf(path, 'SELECT hash FROM events WHERE seq = 5'), 7, 1, 'k', 's', '{}'];
    const hash = createHash('sha256')
      .update(`${lines.join('\n')}\n`)
      .digest('hex');
    tamper(path, `INSERT INTO events VALUES (7, 1, 'k', 's', '{}', '${hash}')`);
    expect(verify(path)).toMatchObject({ ok: false, events: 5, firstBad: 6 });
  });

  it('cannot show by itself that its end was cut off: the head is another one', () => {
    const path = fiveEntries();
    const head = valueOf(path, 'SELECT hash FROM events WHERE seq = 5');
    tamper(path, 'DELETE FROM events WHERE seq = 5');
    const check = verify(path);
    expect(check).toMatchObject({ ok: true, events: 4 });
    expect(check).not.toMatchObject({ head });
  });

  it('tells what is known about one subject', () => {
    const ledger = new ImporterLedger(fiveEntries());
    expect(ledger.events.about(digest('b'))).toMatchObject([
      { seq: 2, time: 1_700_000_000_000, kind: 'imported', body: { channel: 'prod', sequence: 2 } },
    ]);
    expect(ledger.events.about('nobody')).toEqual([]);
    ledger.close();
  });

  it('takes no entry that could be read in two ways, and none outside of a transaction', () => {
    const ledger = new ImporterLedger(newPath());
    expect(() => {
      ledger.recordImported('sha256:a\nb', 'prod', 1);
    }).toThrow('line feed');
    expect(ledger.imported('sha256:a\nb')).toBe(false);
    expect(() => {
      ledger.events.append('imported', 'x', {});
    }).toThrow('outside of a transaction');
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: 0 });
    ledger.close();
  });
});
