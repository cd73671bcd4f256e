import { ImporterLedger, ReceiverLedger, SenderLedger, verifyLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { keyPair } from './keys.ts';
import { digest, newPath, tamper, valueOf } from './ledgers.ts';

const key = keyPair();
const HOUR = 3_600_000;

/** A ledger with an entry an hour, and its clock. */
function hourly(entries: number) {
  const path = newPath();
  const clock = { now: 0 };
  const ledger = new ImporterLedger(path, () => clock.now);
  const go = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      clock.now += HOUR;
      ledger.recordImported(digest(String(clock.now)), 'prod', clock.now / HOUR);
    }
  };
  go(entries);
  return { path, clock, ledger, go };
}

const rules = { olderThan: 0, keepEntries: 1, neededFrom: Infinity };

describe('a checkpoint', () => {
  it('vouches for the chain up to its last entry, once', () => {
    const { ledger, path, go } = hourly(3);
    const made = ledger.checkpoints.make(key);
    expect(made).toMatchObject({
      seq: 3,
      hash: valueOf(path, 'SELECT hash FROM events WHERE seq = 3'),
      keyid: key.keyid,
    });
    expect(ledger.checkpoints.make(key)).toBeUndefined();
    go(1);
    expect(ledger.checkpoints.make(key)).toMatchObject({ seq: 4 });
    expect(new ImporterLedger(newPath()).checkpoints.make(key)).toBeUndefined();
    ledger.close();
    expect(verifyLedger(path, [key.verifier])).toMatchObject({
      role: 'importer',
      checkpoints: 2,
      signed: 2,
      faults: [],
    });
  });

  it('shows that the end was cut off, and that the chain was computed anew', () => {
    const { ledger, path } = hourly(5);
    ledger.checkpoints.make(key);
    ledger.close();
    tamper(path, 'DELETE FROM events WHERE seq > 3');
    expect(verifyLedger(path).faults).toMatchObject([{ what: 'chain', entry: 4 }]);

    const other = hourly(0);
    for (let i = 0; i < 5; i += 1) other.ledger.recordImported(digest(`forged ${i}`), 'prod', i);
    other.ledger.close();
    tamper(other.path, `ATTACH '${path}' AS stolen; INSERT INTO checkpoints SELECT * FROM stolen.checkpoints`);
    expect(verifyLedger(other.path).faults).toMatchObject([{ what: 'chain', entry: 5 }]);
  });

  it.each([
    ['another hash', `UPDATE checkpoints SET hash = '${'0'.repeat(64)}'`],
    ['another time', 'UPDATE checkpoints SET time = time + 1'],
    ['another key', `UPDATE checkpoints SET keyid = '${'0'.repeat(64)}'`],
  ])('does not hold with %s', (_what, statement) => {
    const { ledger, path } = hourly(2);
    ledger.checkpoints.make(key);
    ledger.close();
    tamper(path, statement);
    const { faults } = verifyLedger(path, [key.verifier]);
    expect(faults.at(-1)).toMatchObject({ what: 'checkpoint', entry: 2 });
  });

  it('is of one side: that of another ledger does not hold', () => {
    const sender = new SenderLedger(newPath(), () => 1);
    sender.nextEpoch(0);
    const { seq, hash, time, keyid, signature } = sender.checkpoints.make(key)!;
    const path = newPath();
    new ReceiverLedger(path, () => 1).close();
    const hex = Buffer.from(signature).toString('hex');
    tamper(path, `INSERT INTO checkpoints VALUES (${seq}, '${hash}', ${time}, '${keyid}', x'${hex}')`);
    expect(verifyLedger(path, [key.verifier]).faults).toContainEqual(
      expect.objectContaining({ what: 'checkpoint', entry: 1, why: 'its signature does not hold' }),
    );
  });
});

describe('old entries', () => {
  it('go under a checkpoint, and the chain holds across it', () => {
    const { ledger, path, clock, go } = hourly(10);
    ledger.checkpoints.make(key);
    go(10);
    ledger.checkpoints.make(key);
    expect(ledger.checkpoints.close({ ...rules, olderThan: clock.now - 8 * HOUR })).toBe(10);
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: 10, last: 20 });
    go(2);
    expect(ledger.events.after(0, 100).map(({ seq }) => seq)).toEqual(Array.from({ length: 12 }, (_, i) => 11 + i));
    expect(ledger.checkpoints.list.map(({ seq }) => seq)).toEqual([10, 20]);
    ledger.close();
    expect(verifyLedger(path, [key.verifier])).toMatchObject({ entries: 12, last: 22, faults: [] });
    tamper(path, 'DELETE FROM events WHERE seq = 11');
    expect(verifyLedger(path).faults).toMatchObject([{ what: 'chain', entry: 1 }]);
    tamper(path, 'DELETE FROM checkpoints');
    expect(verifyLedger(path).faults).toMatchObject([{ what: 'chain', entry: 1 }]);
  });

  it('stay without a checkpoint, while they are young, needed, or of the latest', () => {
    const { ledger, clock } = hourly(10);
    const older = { ...rules, olderThan: clock.now + HOUR };
    expect(ledger.checkpoints.close(older)).toBe(0);
    for (let i = 0; i < 5; i += 1) {
      ledger.recordImported(digest(`more ${i}`), 'prod', i);
      ledger.checkpoints.make(key);
    }
    expect(ledger.checkpoints.close({ ...older, olderThan: 3 * HOUR })).toBe(0);
    expect(ledger.checkpoints.close({ ...older, neededFrom: 11 })).toBe(0);
    expect(ledger.checkpoints.close({ ...older, keepEntries: 5 })).toBe(0);
    expect(ledger.checkpoints.close({ ...older, keepEntries: 3 })).toBe(12);
    expect(ledger.checkpoints.close({ ...older, keepEntries: 0 })).toBe(2);
    expect(ledger.events.last()).toBe(15);
    ledger.close();
  });

  it('of bundles that are not over are needed', () => {
    const ledger = new ReceiverLedger(newPath(), () => 1);
    expect(ledger.keeping.neededFrom()).toBe(Infinity);
    for (const n of [1, 2, 3])
      ledger.received({ id: digest(`b${n}`), channel: 'prod', sequence: n, release: digest('r'), bytes: 1 });
    expect(ledger.keeping.neededFrom()).toBe(1);
    ledger.publish(digest('b1'), 'b', [], {});
    expect(ledger.keeping.neededFrom()).toBe(1);
    ledger.recordReceipt(digest('b1'), 'imported', 'ok', Buffer.from('x'));
    expect(ledger.keeping.neededFrom()).toBe(2);
    ledger.quarantine({ id: digest('b2'), channel: 'prod' }, 'gate-refused', '');
    ledger.quarantine({ id: digest('b3'), channel: 'prod' }, 'gate-refused', '');
    expect(ledger.keeping.neededFrom()).toBe(Infinity);
    ledger.close();
  });
});
