import { ReceiverLedger, SenderLedger } from '@sluice/ledger';
import { expect, it } from 'vitest';
import { digest, newPath } from './ledgers.ts';

const idOf = (channel: string, sequence: number) => digest(`${channel} ${String(sequence)}`);

/** Two channels, three bundles each; a second apart. */
function receiver(): ReceiverLedger {
  let now = 0;
  const ledger = new ReceiverLedger(newPath(), () => (now += 1000));
  for (const sequence of [1, 2, 3]) {
    for (const channel of ['prod', 'lab']) {
      const id = idOf(channel, sequence);
      ledger.received({ id, channel, sequence, release: digest(`release of ${id}`), bytes: 1 });
    }
  }
  return ledger;
}

it('a list is narrowed by state and channel, page by page', () => {
  const ledger = receiver();
  ledger.quarantine({ id: idOf('prod', 1), channel: 'prod' }, 'budget', '');
  ledger.quarantine({ id: idOf('prod', 3), channel: 'prod' }, 'budget', '');
  ledger.quarantine({ id: idOf('lab', 2), channel: 'lab' }, 'budget', '');
  const names = (filter: { state?: string; channel?: string }, limit = 10, before?: number) =>
    ledger.list(limit, before, filter).bundles.map(({ channel, sequence }) => `${channel} ${sequence}`);
  expect(names({ state: 'quarantined' })).toEqual(['prod 3', 'lab 2', 'prod 1']);
  expect(names({ channel: 'lab' })).toEqual(['lab 3', 'lab 2', 'lab 1']);
  expect(names({ state: 'quarantined', channel: 'prod' })).toEqual(['prod 3', 'prod 1']);
  expect(names({ state: "x' OR '1'='1" })).toEqual([]);
  const { next } = ledger.list(1, undefined, { state: 'quarantined' });
  expect(names({ state: 'quarantined' }, 1, next)).toEqual(['lab 2']);
  ledger.close();
});

it('what waits longest is known by when it was published, until its receipt comes', () => {
  const ledger = receiver();
  expect(ledger.waitingSince()).toBeUndefined();
  ledger.publish(idOf('prod', 2), 'two', [], {});
  ledger.publish(idOf('prod', 1), 'one', [], {});
  const since = ledger.events.about(idOf('prod', 2)).find(({ kind }) => kind === 'published')?.time;
  // That the queue took it late makes it no younger.
  ledger.markQueued(idOf('prod', 2));
  expect(ledger.waitingSince()).toBe(since);
  ledger.recordReceipt(idOf('prod', 2), 'imported', '', new Uint8Array(1));
  expect(ledger.waitingSince()).toBeGreaterThan(since ?? Infinity);
  ledger.recordReceipt(idOf('prod', 1), 'failed', 'x', new Uint8Array(1));
  expect(ledger.waitingSince()).toBeUndefined();
  ledger.close();
});

it('versions of one type are told with channel and target', () => {
  const ledger = receiver();
  ledger.publish(idOf('prod', 1), 'n', [{ type: 'cve-db', target: 'security/db', version: 7 }], {});
  ledger.publish(idOf('prod', 2), 'n', [{ type: 'cve-db', target: 'security/db', version: 9 }], {});
  ledger.publish(idOf('lab', 1), 'n', [{ type: 'git', target: 'x', version: 1 }], {});
  expect(ledger.versionsOf('cve-db')).toEqual([{ channel: 'prod', target: { text: 'security/db' }, version: 9 }]);
  ledger.close();
});

it('entries are told by number, a bounded number of them, oldest first', () => {
  const ledger = receiver();
  expect(ledger.events.last()).toBe(6);
  expect(ledger.events.after(0, 2).map(({ seq, kind }) => [seq, kind])).toEqual([
    [1, 'received'],
    [2, 'received'],
  ]);
  expect(ledger.events.after(4, 10).map(({ seq, body }) => [seq, body.sequence])).toEqual([
    [5, 3],
    [6, 3],
  ]);
  expect(ledger.events.after(6, 10)).toEqual([]);
  const empty = new ReceiverLedger(newPath());
  expect([empty.events.last(), empty.events.after(0, 5)]).toEqual([0, []]);
  for (const each of [ledger, empty]) each.close();
});

it('the sender knows which bundle waits longest for the end of its first pass', () => {
  let now = 0;
  const ledger = new SenderLedger(newPath(), () => (now += 1000));
  const seal = (name: string) =>
    ledger.sealBundle({
      ...{ channel: 'prod', source: name, name, release: digest(name), releaseSize: 1, objects: [], bytes: 1 },
      make: () => ({ id: digest(`bundle ${name}`), envelope: new Uint8Array(1) }),
    });
  expect(ledger.waitingSince()).toBeUndefined();
  const [first, second] = [seal('a'), seal('b')];
  expect(ledger.waitingSince()).toBe(first.sealedAt);
  ledger.passBegun(first.id);
  ledger.passDone(first.id, 0, 2);
  expect(ledger.waitingSince()).toBe(second.sealedAt);
  expect(ledger.list(5, undefined, { state: 'queued', channel: 'prod' }).bundles.map(({ id }) => id)).toEqual([
    second.id,
    first.id,
  ]);
  expect(ledger.list(5, undefined, { state: 'sent' }).bundles).toEqual([]);
  ledger.passBegun(second.id);
  // It may stand in line behind others, or nothing leaves.
  expect(ledger.waitingSince()).toBe(second.sealedAt);
  ledger.passDone(second.id, 0, 2);
  expect(ledger.waitingSince()).toBeUndefined();
  ledger.close();
});
