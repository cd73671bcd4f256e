// What one machine hands to the next, so that a restart loses nothing that came.
import { describe, expect, it } from 'vitest';
import type { HandoverItem } from '@sluice/transfer';
import { Random } from '../../testkit/src/index.ts';
import { B, Bench, E, type TestObject, TSI, type Way, WAYS } from './bench.ts';

/** Everything as it would lie in a file. */
const copied = (bench: Bench): HandoverItem[] => Array.from(bench.machine.handover(), (item) => structuredClone(item));

/** A bench whose machine took over from another's, with the spool as that one left it. */
function after(before: Bench, items: readonly HandoverItem[], way: Way): Bench {
  const bench = new Bench({ way, highest: before.machine.highestLive, parts: { spool: before.spool } });
  for (const item of items) bench.machine.takeOver(item);
  return bench;
}

/** Byte for byte in the spool, whichever machine put it there. */
const isThere = (bench: Bench, object: TestObject): boolean =>
  Buffer.compare(bench.spooled(object) ?? new Uint8Array(), object.bytes) === 0;

describe.each(WAYS)('a restart in the middle of a session, %s,', (way) => {
  it('loses no symbol: with none to spare every object becomes whole, and nothing counts as lost', () => {
    const first = new Bench({ way });
    const objects = [first.object(4000), first.object(30), first.object(9000, { maxBlock: B })];
    first.announce(objects);
    const datagrams = objects.flatMap((object) =>
      // Half of each block by repair symbols: those are handed over, too.
      Array.from({ length: object.shape.blocks }, (_, sbn) => {
        const k = first.block(object, sbn).length;
        return first.block(
          object,
          sbn,
          Array.from({ length: k }, (__, i) => (i % 2 === 0 ? i : i + 20)),
        );
      }).flat(),
    );
    const order = new Random(5);
    const cut = Math.floor(datagrams.length / 2);
    // Each half in an order of its own, so that nearly every block is cut in two.
    const mixed = datagrams.toSorted(() => order.unit() - 0.5);
    first.sendAll(mixed.slice(0, cut));
    expect(objects.map((object) => isThere(first, object))).toContain(false);
    const second = after(first, copied(first), way);
    const rest = mixed.slice(cut);
    // As the wire has it: with numbers behind those that came.
    second.skipTo(TSI, first.machine.seen?.sn ?? 0);
    second.sendAll(rest.map((datagram) => second.renumbered(datagram)));
    expect(objects.map((object) => isThere(first, object))).toEqual([true, true, true]);
    expect(second.machine.counters.unknownToiDropped).toBe(0);
    expect(second.machine.lost).toBe(0);
  });

  it('hands over what it got itself, for the next restart', () => {
    const first = new Bench({ way });
    const object = first.object(5000);
    first.announce([object]);
    const symbols = first.symbols(object);
    first.sendAll(symbols.slice(0, 7));
    const items = copied(first);
    const second = after(first, items, way);
    // Nothing came meanwhile, so the session is not open: its names must not be lost.
    const third = after(first, copied(second), way);
    // What the first one saw is no news to the third.
    expect(third.send(symbols[0] ?? new Uint8Array())).toBe('replayed');
    third.skipTo(TSI, 1000);
    third.sendAll(symbols.slice(7).map((datagram) => third.renumbered(datagram)));
    expect(isThere(first, object)).toBe(true);
  });

  it('believes nothing of a key that is not there any more, or ended', () => {
    const first = new Bench({ way });
    const object = first.object(2000);
    first.announce([object]);
    first.sendAll(first.symbols(object).slice(0, 5));
    const items = copied(first);
    expect(items.map(({ type }) => type)).toEqual(['seen', 'name', 'block']);
    const ended = new Bench({ way, highest: TSI });
    ended.machine.endKey(0);
    const all = items.map((item) => new Bench({ way, highest: TSI }).machine.takeOver(item));
    expect(all).toEqual([0, 0, 5 * E]);
    for (const item of items) expect(ended.machine.takeOver(item)).toBe(0);
    const other = new Bench({ way, highest: TSI });
    for (const item of items) {
      const moved = 'info' in item ? { ...item, info: { ...item.info, channel: 'lab' } } : item;
      expect(other.machine.takeOver(moved)).toBe(0);
    }
    for (const { machine } of [ended, other]) {
      expect([...machine.objects()]).toEqual([]);
      expect(machine.blockBytes).toBe(0);
    }
  });

  it('keeps its limits: what there is no memory for goes, oldest first', () => {
    const first = new Bench({ way });
    const objects = [60_000, 60_000, 60_000].map((size) => first.object(size));
    first.announce(objects);
    for (const object of objects) first.sendAll(first.block(object, 0, [0, 1]));
    const limit = 2 ** 18;
    const small = new Bench({ way, highest: TSI, limits: { blockBytes: limit } });
    for (const item of copied(first)) small.machine.takeOver(item);
    expect(small.machine.blockBytes).toBeLessThanOrEqual(limit);
    expect(small.machine.counters.evictedSymbols).toBe(2);
    small.skipTo(TSI, 1000);
    for (const object of objects) small.sendAll(small.symbols(object));
    expect(objects.map((object) => isThere(small, object))).toEqual([true, true, true]);
  });
});
