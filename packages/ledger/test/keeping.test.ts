import { ReceiverLedger, SenderLedger, STORE_DAMAGED, WAITING_FOR_ROOM } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath } from './ledgers.ts';

const RECEIPT = Buffer.from('receipt');
const bundleOf = (sequence: number) => ({
  id: digest(`b${sequence}`),
  channel: 'prod',
  sequence,
  release: digest(`r${sequence}`),
  bytes: 1,
});

function receiver() {
  const path = newPath();
  const ledger = new ReceiverLedger(path, () => 1);
  const kinds = (id: string): string[] => ledger.events.about(id).map(({ kind }) => kind);
  return { path, ledger, kinds, id: bundleOf(1).id };
}

describe('a published bundle of which the store lost something', () => {
  it('is receiving again and out of the outbox, which is recorded once', () => {
    const { ledger, kinds, id } = receiver();
    ledger.received(bundleOf(1));
    ledger.publish(id, 'name', [], {});
    expect(ledger.keeping.reopen(id, 'one blob', { blobs: [] })).toBe(true);
    expect(ledger.keeping.reopen(id, 'one blob', { blobs: [] })).toBe(false);
    expect(ledger.bundle(id)).toMatchObject({ state: 'receiving', code: STORE_DAMAGED });
    expect([ledger.outbox(), ledger.keeping.isDamaged(id)]).toEqual([[], true]);
    expect(kinds(id)).toEqual(['received', 'published', 'damaged']);
    // A receipt that was under way tells what is known by now.
    expect(ledger.recordReceipt(id, 'failed', 'digest-mismatch', RECEIPT)).toBe(true);
    expect(ledger.bundle(id)?.state).toBe('receiving');
    ledger.publish(id, 'name', [], {});
    expect(ledger.keeping.isDamaged(id)).toBe(false);
    expect(ledger.recordReceipt(id, 'imported', '', RECEIPT)).toBe(true);
    expect(() => ledger.keeping.reopen(id, 'again', {})).toThrow('imported');
    ledger.close();
  });

  it('may have been given up by the importer before', () => {
    const { ledger, id } = receiver();
    ledger.received(bundleOf(1));
    ledger.publish(id, 'name', [], {});
    ledger.recordReceipt(id, 'failed', 'digest-mismatch', RECEIPT);
    expect(ledger.keeping.reopen(id, 'one blob', {})).toBe(true);
    ledger.publish(id, 'name', [], {});
    expect(ledger.outbox()).toEqual([{ bundle: id, queued: false }]);
    ledger.close();
  });
});

describe('a bundle whose blobs went from the store', () => {
  it('is kept again when it is published again', () => {
    const { ledger, id } = receiver();
    ledger.received(bundleOf(1));
    ledger.publish(id, 'name', [], {});
    expect(ledger.keeping.inStore()).toEqual([]);
    ledger.recordReceipt(id, 'failed', 'blob-missing', RECEIPT);
    expect(ledger.keeping.inStore()).toEqual([id]);
    ledger.keeping.dropped(id, { why: 'age' });
    expect(ledger.keeping.inStore()).toEqual([]);
    ledger.keeping.reopen(id, 'all of it', {});
    ledger.publish(id, 'name', [], {});
    ledger.recordReceipt(id, 'imported', '', RECEIPT);
    expect(ledger.keeping.inStore()).toEqual([id]);
    ledger.close();
  });
});

describe('a bundle that waits', () => {
  it('says what for, and is recorded when that changes', () => {
    const { ledger, kinds, id } = receiver();
    ledger.received(bundleOf(1));
    for (const words of ['10 MiB', '11 MiB']) ledger.keeping.hold(id, WAITING_FOR_ROOM, words);
    expect(ledger.bundle(id)).toMatchObject({ code: WAITING_FOR_ROOM, detail: { text: '11 MiB' } });
    ledger.keeping.hold(id, '', '');
    expect(kinds(id)).toEqual(['received', 'held', 'held']);
    ledger.publish(id, 'name', [], {});
    ledger.keeping.hold(id, WAITING_FOR_ROOM, 'late');
    expect(ledger.bundle(id)).toMatchObject({ state: 'published', code: '' });
    ledger.close();
  });
});

describe('a ledger that was restored', () => {
  it('knows of the receiver which channels may have been further, until one has caught up', () => {
    const { path, ledger } = receiver();
    ledger.keeping.restored(['prod', 'lab'], { backup: 'x' });
    ledger.close();
    const again = new ReceiverLedger(path, () => 1);
    expect(again.keeping.behind()).toEqual(['lab', 'prod']);
    again.keeping.caughtUp('prod', {});
    again.keeping.caughtUp('prod', {});
    expect(again.keeping.behind()).toEqual(['lab']);
    expect(again.events.after(0, 10).map(({ kind }) => kind)).toEqual(['restored', 'caught-up']);
    again.close();
  });

  it('gives of the sender no number twice: told how far they went, it goes on from there', () => {
    const ledger = new SenderLedger(newPath(), () => 1);
    const seal = (name: string) =>
      ledger.sealBundle({
        ...{ channel: 'prod', source: name, name, release: digest(name), releaseSize: 1, objects: [], bytes: 1 },
        make: (sequence, previous) => ({
          id: digest(`${sequence} after ${previous}`),
          envelope: Buffer.from(`${sequence}`),
        }),
      });
    seal('one');
    ledger.restored(['lab'], 77, {});
    expect(ledger.heads.unconfirmed()).toEqual(['lab', 'prod']);
    expect(ledger.heads.confirm('prod', { sequence: 5, id: digest('fifth') })).toMatchObject({ sequence: 5 });
    expect(ledger.heads.isUnconfirmed('prod')).toBe(false);
    const next = seal('two');
    expect([next.sequence, next.id]).toEqual([6, digest(`6 after ${digest('fifth')}`)]);
    // A list has no gap: the numbers between are not known here.
    expect(ledger.recent('prod', 10).map(({ sequence }) => sequence)).toEqual([6]);
    // What goes less far than is known changes nothing.
    expect(ledger.heads.confirm('prod', { sequence: 2, id: digest('second') })).toMatchObject({ sequence: 6 });
    expect(ledger.nextEpoch(0)).toBe(78);
    ledger.close();
  });
});

describe('the head of a channel, as the receiver knows it', () => {
  it('is that of the statement or of the heartbeat, whichever is further', () => {
    const { ledger, id } = receiver();
    expect(ledger.keeping.headOf('prod')).toEqual({ sequence: 0, id: null });
    ledger.announce('prod', 1, digest('announced'), 1);
    expect(ledger.keeping.headOf('prod')).toEqual({ sequence: 1, id: digest('announced') });
    ledger.received(bundleOf(1));
    expect(ledger.keeping.headOf('prod')).toEqual({ sequence: 1, id });
    ledger.announce('prod', 4, digest('b4'), 1);
    expect(ledger.keeping.headOf('prod')).toEqual({ sequence: 4, id: digest('b4') });
    ledger.close();
  });
});
