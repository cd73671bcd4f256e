import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ReceiverLedger, SenderLedger, verifyLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath, tamper } from './ledgers.ts';

/** A receiver's ledger with one bundle in each state, open. */
function receiverLedger() {
  const path = newPath();
  const ledger = new ReceiverLedger(path, () => 1);
  const bundle = (sequence: number) => ({
    id: digest(`b${sequence}`),
    channel: 'prod',
    sequence,
    release: digest(`r${sequence}`),
    bytes: 1,
  });
  for (let n = 1; n <= 7; n += 1) ledger.received(bundle(n));
  for (const n of [2, 3, 4, 5, 7]) ledger.publish(digest(`b${n}`), 'name', [], {});
  ledger.markQueued(digest('b3'));
  ledger.recordReceipt(digest('b4'), 'imported', 'ok', Buffer.from('x'));
  ledger.recordReceipt(digest('b5'), 'failed', 'digest-mismatch', Buffer.from('x'));
  ledger.quarantine({ id: digest('b6'), channel: 'prod' }, 'gate-refused', 'no');
  ledger.refusals.withdraw(digest('b7'), 'key-revoked', 'no');
  return { path, ledger };
}

function senderLedger() {
  const path = newPath();
  const ledger = new SenderLedger(path, () => 1);
  ledger.sealBundle({
    ...{ channel: 'prod', source: 'one', name: 'one', release: digest('r'), releaseSize: 1, objects: [], bytes: 1 },
    make: () => ({ id: digest('envelope'), envelope: Buffer.from('envelope') }),
  });
  return { path, ledger };
}

describe('verifying a ledger', () => {
  it('reads it while its daemon has it open, as it is at one moment', () => {
    const { path, ledger } = receiverLedger();
    const report = verifyLedger(path);
    expect(report).toMatchObject({ role: 'receiver', bundles: 7, faults: [] });
    expect(report.last).toBe(ledger.events.last());
    const check = ledger.events.verify();
    expect(check.ok && check.head).toBe(report.head);
    ledger.close();
  });

  it('reads a copy that nobody may write to, in a directory that nobody may write to', () => {
    const { path, ledger } = receiverLedger();
    ledger.close();
    const copy = join(dirname(path), 'copy', 'ledger.sqlite');
    mkdirSync(dirname(copy));
    copyFileSync(path, copy);
    chmodSync(copy, 0o400);
    chmodSync(dirname(copy), 0o500);
    expect(verifyLedger(copy)).toMatchObject({ bundles: 7, faults: [] });
    chmodSync(dirname(copy), 0o700);
  });

  it.each([
    ['a state that no entry tells of', `UPDATE bundles SET state = 'imported' WHERE sequence = 5`, 'b5'],
    ['a state that there is none of', `UPDATE bundles SET state = 'fine' WHERE sequence = 1`, 'b1'],
    ['another release', `UPDATE bundles SET release = '${digest('x')}' WHERE sequence = 3`, 'b3'],
    ['another number', 'UPDATE bundles SET sequence = 9 WHERE sequence = 2', 'b2'],
  ])('names a bundle with %s', (_what, statement, bundle) => {
    const { path, ledger } = receiverLedger();
    ledger.close();
    tamper(path, statement);
    expect(verifyLedger(path).faults).toMatchObject([{ what: 'bundle', bundle: digest(bundle) }]);
  });

  it('holds the envelopes of a sender against their ids, and their rows against the entries', () => {
    const { path, ledger } = senderLedger();
    expect(verifyLedger(path)).toMatchObject({ role: 'sender', bundles: 1, faults: [] });
    ledger.close();
    tamper(path, `UPDATE bundles SET envelope = x'00'`);
    expect(verifyLedger(path).faults).toMatchObject([{ what: 'bundle', why: 'its envelope is not what its id says' }]);
    tamper(path, `UPDATE bundles SET envelope = CAST('envelope' AS BLOB), channel = 'lab'`);
    expect(verifyLedger(path).faults).toMatchObject([{ what: 'bundle', bundle: digest('envelope') }]);
  });

  it('refuses what is no ledger', () => {
    const path = newPath();
    mkdirSync(dirname(path), { recursive: true });
    expect(() => verifyLedger(path)).toThrow(expect.objectContaining({ code: 'ledger-unreadable' }));
    writeFileSync(path, 'no database at all, but long enough to be looked at as one'.repeat(100));
    expect(() => verifyLedger(path)).toThrow(expect.objectContaining({ code: 'ledger-unreadable' }));
    const empty = newPath();
    mkdirSync(dirname(empty), { recursive: true });
    writeFileSync(empty, '');
    expect(() => verifyLedger(empty)).toThrow(expect.objectContaining({ code: 'ledger-unreadable' }));
  });
});
