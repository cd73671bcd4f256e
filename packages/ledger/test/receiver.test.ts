import { ReceiverLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath } from './ledgers.ts';

const RECEIPT = Buffer.from('{"a":"receipt"}');

function statement(sequence: number, channel = 'prod') {
  return { id: digest(`${channel} ${String(sequence)}`), channel, sequence, release: digest('release'), bytes: 99 };
}
const idOf = (sequence: number) => statement(sequence).id;

/** A ledger with these sequence numbers received. */
function received(...sequences: readonly number[]): ReceiverLedger {
  const ledger = new ReceiverLedger(newPath(), () => 1000);
  for (const sequence of sequences) ledger.received(statement(sequence));
  return ledger;
}

describe('the way of a bundle', () => {
  it('goes from receiving to imported, and every step is an entry', () => {
    const path = newPath();
    let now = 1000;
    const ledger = new ReceiverLedger(path, () => now);
    const bundle = statement(1);
    ledger.received(bundle);
    const { id } = bundle;
    expect(ledger.bundle(id)).toEqual({
      ...bundle,
      name: { text: '' },
      state: 'receiving',
      code: '',
      detail: { text: '' },
      firstSeen: 1000,
      changed: 1000,
    });
    expect(ledger.takenBy('prod', 1)).toBe(id);
    expect([ledger.takenBy('prod', 2), ledger.takenBy('test', 1), ledger.takenBy('prod', 0)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    now = 2000;
    ledger.publish(id, 'platform', [{ type: 'cve-db', target: 'db', version: 7 }], { blobs: 3 });
    expect(ledger.bundle(id)).toMatchObject({
      state: 'published',
      name: { text: 'platform' },
      firstSeen: 1000,
      changed: 2000,
    });
    expect(ledger.outbox()).toEqual([{ bundle: id, queued: false }]);
    ledger.close();

    const again = new ReceiverLedger(path);
    again.markQueued(id);
    expect(again.bundle(id)?.state).toBe('queued');
    expect(again.outbox()).toEqual([{ bundle: id, queued: true }]);
    expect(again.recordReceipt(id, 'imported', '', RECEIPT)).toBe(true);
    expect(again.bundle(id)).toMatchObject({ state: 'imported', code: '' });
    expect(again.outbox()).toEqual([]);
    expect(Buffer.from(again.receipt(id) ?? [])).toEqual(RECEIPT);
    again.markQueued(id);
    expect(again.bundle(id)?.state).toBe('imported');
    expect(again.events.about(id).map(({ kind }) => kind)).toEqual(['received', 'published', 'imported']);
    expect(again.events.verify()).toMatchObject({ ok: true, events: 3 });
    again.close();
  });

  it('may end failed, and be imported after all', () => {
    const ledger = received(1);
    ledger.publish(idOf(1), 'name', [], {});
    ledger.recordReceipt(idOf(1), 'failed', 'digest-mismatch', RECEIPT);
    expect(ledger.bundle(idOf(1))).toMatchObject({ state: 'failed', code: 'digest-mismatch' });
    expect(ledger.inState('failed').map(({ id }) => id)).toEqual([idOf(1)]);
    ledger.recordReceipt(idOf(1), 'imported', '', RECEIPT);
    expect(ledger.bundle(idOf(1))).toMatchObject({ state: 'imported', code: '' });
    ledger.close();
  });

  it('has one number for one statement, and records nothing of a second one', () => {
    const ledger = received(1);
    expect(() => {
      ledger.received({ ...statement(1), id: digest('another') });
    }).toThrow('UNIQUE');
    expect(ledger.bundle(digest('another'))).toBeUndefined();
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: 1 });
    ledger.received(statement(1, 'test'));
    ledger.close();
  });

  it('records a publication whole or not at all', () => {
    const ledger = received(1);
    const versions = [{ type: 'git', target: 'x', version: 1.5 }];
    expect(() => {
      ledger.publish(idOf(1), 'name', versions, {});
    }).toThrow();
    expect(ledger.bundle(idOf(1))).toMatchObject({ state: 'receiving', name: { text: '' } });
    expect(ledger.outbox()).toEqual([]);
    expect(ledger.events.about(idOf(1))).toHaveLength(1);
    ledger.close();
  });
});

describe('a refused bundle', () => {
  it('keeps its number when its statement held, and takes none when it did not', () => {
    const ledger = received(1);
    ledger.quarantine({ id: idOf(1), channel: 'prod' }, 'signer-unknown', 'who is that');
    ledger.quarantine({ id: digest('b'), channel: 'prod' }, 'signature-invalid', 'no');
    ledger.quarantine({ id: digest('c'), channel: 'prod' }, 'sequence-repeated', 'no');
    expect(ledger.bundle(idOf(1))).toMatchObject({ state: 'quarantined', code: 'signer-unknown', sequence: 1 });
    expect(ledger.bundle(digest('b'))).toMatchObject({ state: 'quarantined', sequence: 0, detail: { text: 'no' } });
    expect(ledger.count('quarantined')).toBe(3);
    expect(ledger.missing('prod', 10)).toEqual([]);
    expect(ledger.outbox()).toEqual([]);
    ledger.close();
  });

  it('is never published, no result changes it, and a published one is not refused', () => {
    const ledger = received(1, 2);
    ledger.quarantine({ id: idOf(1), channel: 'prod' }, 'gate-refused', 'virus');
    expect(() => {
      ledger.publish(idOf(1), 'name', [], {});
    }).toThrow('is quarantined');
    expect(ledger.recordReceipt(idOf(1), 'imported', '', RECEIPT)).toBe(false);
    expect(ledger.recordReceipt(idOf(2), 'imported', '', RECEIPT)).toBe(false);
    expect(ledger.recordReceipt(digest('nobody'), 'imported', '', RECEIPT)).toBe(false);
    expect([ledger.bundle(idOf(1))?.state, ledger.bundle(idOf(2))?.state]).toEqual(['quarantined', 'receiving']);
    expect(ledger.receipt(idOf(1))).toBeUndefined();
    ledger.publish(idOf(2), 'name', [], {});
    expect(() => {
      ledger.quarantine({ id: idOf(2), channel: 'prod' }, 'gate-refused', 'late');
    }).toThrow('cannot be refused');
    expect(ledger.events.verify()).toMatchObject({ ok: true, events: 4 });
    ledger.close();
  });
});

describe('what is missing', () => {
  it('is every number below the last one known, by statement or heartbeat', () => {
    const ledger = received(2, 5);
    expect(ledger.missing('prod', 10)).toEqual([1, 3, 4]);
    ledger.announce('prod', 8, digest('head'), 1);
    expect(ledger.missing('prod', 10)).toEqual([1, 3, 4, 6, 7, 8]);
    expect(ledger.missing('prod', 2)).toEqual([1, 3]);
    expect(ledger.missing('test', 10)).toEqual([]);
    ledger.close();
  });

  it('shrinks as bundles come, in any order, and grows with new ones', () => {
    const ledger = received();
    ledger.announce('prod', 6, digest('head'), 1);
    const steps: number[][] = [];
    for (const sequence of [1, 2, 4, 6, 3, 5, 9]) {
      ledger.received(statement(sequence));
      steps.push(ledger.missing('prod', 10));
    }
    expect(steps).toEqual([[2, 3, 4, 5, 6], [3, 4, 5, 6], [3, 5, 6], [3, 5], [5], [], [7, 8]]);
    ledger.close();
  });

  it('is never more than asked for, however much a heartbeat says', () => {
    const ledger = received(1);
    ledger.announce('prod', Number.MAX_SAFE_INTEGER - 1, digest('head'), 1);
    expect(ledger.missing('prod', 3)).toEqual([2, 3, 4]);
    expect(ledger.missing('prod', 0)).toEqual([]);
    expect(ledger.missing('prod', 1)).toEqual([2]);
    expect(ledger.missing('prod', 5)).toEqual([2, 3, 4, 5, 6]);
    ledger.received(statement(9));
    expect(ledger.missing('prod', 9)).toEqual([2, 3, 4, 5, 6, 7, 8, 10, 11]);
    ledger.close();
  });

  it('is found behind a gap that was larger than what was asked for', () => {
    const ledger = received(1, 5, 7);
    expect(ledger.missing('prod', 2)).toEqual([2, 3]);
    expect(ledger.missing('prod', 10)).toEqual([2, 3, 4, 6]);
    ledger.close();
  });

  it('does not go back with an older heartbeat, nor with a restart', () => {
    const path = newPath();
    const ledger = new ReceiverLedger(path);
    ledger.announce('prod', 3, digest('head'), 10);
    ledger.announce('prod', 1, null, 20);
    ledger.close();
    const again = new ReceiverLedger(path);
    expect(again.missing('prod', 10)).toEqual([1, 2, 3]);
    again.close();
  });
});

it('versions are kept by channel, type and target, and never fall', () => {
  const ledger = received(1, 2);
  ledger.publish(
    idOf(1),
    'one',
    [
      { type: 'cve-db', target: 'db', version: 7 },
      { type: 'git', target: 'db', version: 3 },
    ],
    {},
  );
  ledger.publish(idOf(2), 'two', [{ type: 'cve-db', target: 'db', version: 5 }], {});
  expect(ledger.versionOf('prod', 'cve-db', 'db')).toBe(7);
  expect(ledger.versionOf('prod', 'git', 'db')).toBe(3);
  expect(ledger.versionOf('test', 'git', 'db')).toBeUndefined();
  ledger.close();
});

it('knows by which bundle a channel let a release in, but for one whose import failed', () => {
  const ledger = received(1, 2);
  const { release, channel } = statement(1);
  expect(statement(2).release).toBe(release);
  expect(ledger.publishedAs(channel, release)).toBeUndefined();
  ledger.publish(idOf(2), 'name', [], {});
  expect(ledger.publishedAs(channel, release)).toBe(idOf(2));
  expect(ledger.publishedAs('another', release)).toBeUndefined();
  ledger.markQueued(idOf(2));
  expect(ledger.publishedAs(channel, release)).toBe(idOf(2));
  ledger.recordReceipt(idOf(2), 'imported', '', new Uint8Array(1));
  expect(ledger.publishedAs(channel, release)).toBe(idOf(2));
  ledger.recordReceipt(idOf(2), 'failed', 'digest-mismatch', new Uint8Array(1));
  expect(ledger.publishedAs(channel, release)).toBeUndefined();
  ledger.close();
});

it('the outbox is in the order in which bundles came, and the list newest first, a page at a time', () => {
  const ledger = received(3, 1, 2, 4);
  for (const sequence of [1, 2, 3]) ledger.publish(idOf(sequence), 'name', [], {});
  expect(ledger.outbox().map(({ bundle }) => bundle)).toEqual([idOf(3), idOf(1), idOf(2)]);
  const first = ledger.list(3);
  expect(first.bundles.map(({ sequence }) => sequence)).toEqual([4, 2, 1]);
  ledger.received(statement(5));
  expect(ledger.list(3, first.next)).toMatchObject({ bundles: [{ sequence: 3 }], next: undefined });
  expect(ledger.list(1, Number.NaN).bundles).toEqual([]);
  ledger.close();
});
