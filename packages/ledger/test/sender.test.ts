import { type SealRequest, SenderLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath } from './ledgers.ts';

const request = (source: string, more: Partial<SealRequest> = {}): SealRequest => ({
  channel: 'prod',
  source,
  name: `name of ${source}`,
  release: digest('release'),
  releaseSize: 10,
  objects: [{ digest: digest('object'), size: 4096, contentType: 'application/x-tar' }],
  bytes: 1234,
  make: (sequence, previous) => ({
    id: digest(`${source} ${String(sequence)}`),
    envelope: Buffer.from(`${String(sequence)} after ${String(previous)}`),
  }),
  ...more,
});

describe('session numbers', () => {
  it('are what the clock says, and grow when the clock stands, goes back, or is before 2020', () => {
    const path = newPath();
    const ledger = new SenderLedger(path);
    const times = [500, 500, 100, -1_000_000, 502, 503, 600];
    expect(times.map((time) => ledger.nextEpoch(time))).toEqual([500, 501, 502, 503, 504, 505, 600]);
    ledger.close();
    const again = new SenderLedger(path);
    expect(again.nextEpoch(-1_577_836_800)).toBe(601);
    expect(again.events.verify()).toMatchObject({ ok: true, events: 8 });
    again.close();
  });

  it('begin at 1 with the clock in 1970', () => {
    const ledger = new SenderLedger(newPath());
    expect([ledger.nextEpoch(-1_577_836_800), ledger.nextEpoch(-1_577_836_799)]).toEqual([1, 2]);
    ledger.close();
  });
});

describe('sealing', () => {
  it('numbers the bundles of each channel without a gap, each naming the one before', () => {
    const ledger = new SenderLedger(newPath());
    const sealed = [
      ledger.sealBundle(request('a')),
      ledger.sealBundle(request('b')),
      ledger.sealBundle(request('x', { channel: 'test' })),
      ledger.sealBundle(request('c')),
    ];
    expect(sealed.map(({ channel, sequence }) => [channel, sequence])).toEqual([
      ['prod', 1],
      ['prod', 2],
      ['test', 1],
      ['prod', 3],
    ]);
    expect(sealed.map(({ envelope }) => Buffer.from(envelope).toString())).toEqual([
      '1 after null',
      `2 after ${digest('a 1')}`,
      '1 after null',
      `3 after ${digest('b 2')}`,
    ]);
    expect(ledger.head('prod')).toEqual({ sequence: 3, id: digest('c 3') });
    expect(ledger.head('nobody')).toEqual({ sequence: 0, id: null });
    ledger.close();
  });

  it('gives an input that was sealed before what it gave then, also after a restart', () => {
    const path = newPath();
    const ledger = new SenderLedger(path, () => 42);
    const first = ledger.sealBundle(request('a'));
    ledger.sealBundle(request('b'));
    ledger.close();
    const again = new SenderLedger(path);
    const never = (): never => {
      throw new Error('made again');
    };
    expect(again.sealBundle(request('a', { make: never }))).toEqual(first);
    expect(again.bundle(first.id)).toEqual({ ...first, state: 'queued', passesDone: 0, sealedAt: 42 });
    expect(again.head('prod').sequence).toBe(2);
    expect(again.events.verify()).toMatchObject({ ok: true, events: 2 });
    again.close();
  });

  it('uses no number up when the statement cannot be made', () => {
    const ledger = new SenderLedger(newPath());
    ledger.sealBundle(request('a'));
    const make = (): never => {
      throw new Error('no key');
    };
    expect(() => ledger.sealBundle(request('b', { make }))).toThrow('no key');
    expect(ledger.head('prod').sequence).toBe(1);
    expect(ledger.sealBundle(request('c')).sequence).toBe(2);
    expect(ledger.sealBundle(request('b')).sequence).toBe(3);
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: 3 });
    ledger.close();
  });
});

describe('passes', () => {
  it('make a bundle sent after as many as there are to be', () => {
    const path = newPath();
    const ledger = new SenderLedger(path);
    const { id } = ledger.sealBundle(request('a'));
    const other = ledger.sealBundle(request('b')).id;
    ledger.passBegun(id);
    expect(ledger.bundle(id)).toMatchObject({ state: 'sending', passesDone: 0 });
    expect(ledger.unfinished().map((bundle) => bundle.id)).toEqual([id, other]);
    expect(ledger.passDone(id, 0, 2)).toMatchObject({ state: 'queued', passesDone: 1 });
    ledger.passBegun(id);
    ledger.close();
    // A crash in the second pass: it is not counted.
    const again = new SenderLedger(path);
    expect(again.unfinished()[0]).toMatchObject({ id, state: 'sending', passesDone: 1 });
    expect(again.passDone(id, 1, 2)).toMatchObject({ state: 'sent', passesDone: 2 });
    expect(again.unfinished().map((bundle) => bundle.id)).toEqual([other]);
    expect(again.unfinishedCount()).toBe(1);
    expect(again.events.about(id).map(({ kind }) => kind)).toEqual(['sealed', 'pass', 'pass']);
    expect(() => again.passDone('nobody', 0, 1)).toThrow('no bundle nobody');
    again.close();
  });

  it('are listed newest first, a page at a time', () => {
    const ledger = new SenderLedger(newPath());
    for (const source of ['a', 'b', 'c', 'd', 'e']) ledger.sealBundle(request(source));
    const first = ledger.list(2);
    expect(first.bundles.map(({ sequence }) => sequence)).toEqual([5, 4]);
    ledger.sealBundle(request('f'));
    const second = ledger.list(2, first.next);
    expect(second.bundles.map(({ sequence }) => sequence)).toEqual([3, 2]);
    const third = ledger.list(2, second.next);
    expect(third).toMatchObject({ bundles: [{ sequence: 1 }], next: undefined });
    ledger.close();
  });
});

it('inputs that a source keeps are taken once for each version', () => {
  const path = newPath();
  const ledger = new SenderLedger(path);
  expect(ledger.seen('in/release', 'e1')).toBe(false);
  ledger.remember('in/release', 'e1');
  ledger.close();
  const again = new SenderLedger(path);
  expect([again.seen('in/release', 'e1'), again.seen('in/release', 'e2'), again.seen('in/other', 'e1')]).toEqual([
    true,
    false,
    false,
  ]);
  again.remember('in/release', 'e2');
  expect([again.seen('in/release', 'e1'), again.seen('in/release', 'e2')]).toEqual([false, true]);
  again.close();
});
