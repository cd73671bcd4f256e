import { ReceiverLedger, SenderLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath, tamper } from './ledgers.ts';

const ADA = { uid: 1001, reason: 'key lost on the train' };
const RECEIPT = Buffer.from('{"a":"receipt"}');
const bundleOf = (sequence: number) => ({
  ...{ id: digest(`b${sequence}`), channel: 'prod', sequence, release: digest(`r${sequence}`), bytes: 9 },
});

function published(ledger: ReceiverLedger, sequence: number, signers: readonly string[], transport = 't'): void {
  const bundle = bundleOf(sequence);
  ledger.received(bundle, transport);
  ledger.publish(bundle.id, `release ${sequence}`, [], { signers });
}

describe('what people told a daemon', () => {
  it('lasts, and is an entry of the chain with who and why', () => {
    const path = newPath();
    const ledger = new ReceiverLedger(path);
    expect(ledger.control.get('imports-paused')).toBeUndefined();
    ledger.control.set('imports-paused', 'yes', 'pause', ADA);
    ledger.control.done('submit', 'prod', { uid: null, reason: null }, { name: 'x' });
    ledger.close();
    const again = new ReceiverLedger(path);
    expect(again.control.get('imports-paused')).toBe('yes');
    expect(again.events.after(0, 10).map(({ kind, subject, body }) => [kind, subject, body])).toEqual([
      ['control', 'imports-paused', { action: 'pause', value: 'yes', ...ADA }],
      ['control', 'prod', { action: 'submit', name: 'x', uid: null, reason: null }],
    ]);
    expect(again.events.verify()).toMatchObject({ ok: true, events: 2 });
    again.close();
  });
});

describe('a revoked key', () => {
  it('is revoked once, for good', () => {
    const path = newPath();
    const ledger = new ReceiverLedger(path);
    expect(ledger.trust.revoke('k', ADA, { places: ['prod: release'] })).toBe(true);
    expect(ledger.trust.revoke('k', ADA, {})).toBe(false);
    ledger.close();
    const again = new ReceiverLedger(path);
    expect([...again.trust.revoked()]).toEqual(['k']);
    expect(again.events.about('k')).toMatchObject([
      { kind: 'key-revoked', body: { action: 'revoke', places: ['prod: release'], ...ADA } },
    ]);
    again.close();
  });

  it('has signed what is written down of it, newest first, in pages', () => {
    const ledger = new ReceiverLedger(newPath());
    published(ledger, 1, ['ada', 'bob']);
    published(ledger, 2, ['bob']);
    published(ledger, 3, ['ada'], 'other');
    const names = (key: string, limit = 10, before?: number) =>
      ledger.signatures.by(key, limit, before).map(({ sequence, role }) => `${sequence} ${role}`);
    expect(names('ada')).toEqual(['3 release', '1 release']);
    expect(names('t')).toEqual(['2 transport', '1 transport']);
    const [first] = ledger.signatures.by('ada', 1);
    expect(names('ada', 1, first!.number)).toEqual(['1 release']);
    expect([ledger.signatures.count('bob'), ledger.signatures.count('nobody')]).toEqual([2, 0]);
    expect(ledger.signatures.of(bundleOf(1).id)).toEqual({ transport: 't', release: ['ada', 'bob'] });
    ledger.close();
  });

  it('has signed what came before that was written down, as the chain tells', () => {
    const path = newPath();
    const ledger = new ReceiverLedger(path);
    published(ledger, 1, ['ada', 'bob']);
    ledger.close();
    // A ledger of the version before.
    tamper(
      path,
      'DROP TABLE signatures; DROP TABLE settings; DROP TABLE revoked; DROP TABLE policy; DROP TABLE withdrawn; DROP TABLE checkpoints; DROP TABLE dropped; DROP TABLE behind; DROP TABLE archive; DROP TABLE contents; DROP TABLE previous;',
    );
    tamper(path, 'PRAGMA user_version = 4');
    const again = new ReceiverLedger(path);
    expect(again.signatures.of(bundleOf(1).id)).toEqual({ transport: undefined, release: ['ada', 'bob'] });
    again.close();
  });
});

describe('a bundle that is withdrawn before its import', () => {
  it('leaves the outbox and stays refused, unless an importer was faster', () => {
    const ledger = new ReceiverLedger(newPath());
    for (const sequence of [1, 2]) published(ledger, sequence, ['ada']);
    const [one, two] = [bundleOf(1).id, bundleOf(2).id];
    expect(ledger.refusals.withdraw(one, 'key-revoked', 'why')).toBe(true);
    expect(ledger.bundle(one)).toMatchObject({ state: 'quarantined', code: 'key-revoked' });
    expect(ledger.outbox().map(({ bundle }) => bundle)).toEqual([two]);
    expect(ledger.refusals.unfinished()).toEqual([one]);
    expect(ledger.refusals.withdraw(one, 'key-revoked', 'why')).toBe(false);
    // What was imported all the same is told as it is.
    expect(ledger.recordReceipt(one, 'imported', '', RECEIPT)).toBe(true);
    expect(ledger.bundle(one)?.state).toBe('imported');
    expect(ledger.refusals.unfinished()).toEqual([]);
    expect(ledger.refusals.withdraw(one, 'key-revoked', 'why')).toBe(false);
    expect(ledger.events.about(one).map(({ kind }) => kind)).toEqual([
      'received',
      'published',
      'withdrawn',
      'imported',
    ]);
    ledger.close();
  });

  it('is not what was refused before it was published: that has no job, and no receipt counts', () => {
    const ledger = new ReceiverLedger(newPath());
    ledger.received(bundleOf(1), 't');
    ledger.quarantine(bundleOf(1), 'gate-refused', 'no');
    expect(ledger.recordReceipt(bundleOf(1).id, 'imported', '', RECEIPT)).toBe(false);
    ledger.close();
  });
});

describe('a bundle whose statements hold after all', () => {
  it('is under way again, with its number; one that had none is as if it never came', () => {
    const ledger = new ReceiverLedger(newPath());
    ledger.received(bundleOf(1), 't');
    ledger.quarantine(bundleOf(1), 'repository-not-allowed', 'no');
    ledger.refusals.reopen(bundleOf(1).id, ADA);
    expect(ledger.bundle(bundleOf(1).id)).toMatchObject({ state: 'receiving', code: '', sequence: 1 });
    ledger.quarantine(bundleOf(2), 'signer-unknown', 'no');
    ledger.refusals.reopen(bundleOf(2).id, ADA);
    expect(ledger.bundle(bundleOf(2).id)).toBeUndefined();
    ledger.received(bundleOf(2), 't');
    expect(ledger.events.about(bundleOf(1).id).at(-1)).toMatchObject({
      kind: 'reopened',
      body: { action: 'quarantine-retry', ...ADA },
    });
    ledger.close();
  });
});

describe('tickets that were served', () => {
  it('are known after a restart, with who asked', () => {
    const path = newPath();
    const ledger = new SenderLedger(path);
    for (const name of ['x', 'y', 'x']) ledger.repairBegun(digest('b'), digest(name), [], ADA);
    ledger.close();
    const again = new SenderLedger(path);
    expect(again.servedTickets(10)).toEqual([digest('x'), digest('y'), digest('x')]);
    expect(again.servedTickets(2)).toEqual([digest('y'), digest('x')]);
    expect(again.events.about(digest('b'))[0]).toMatchObject({ kind: 'repair', body: ADA });
    again.close();
  });
});
