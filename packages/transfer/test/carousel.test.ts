// Which pass leaves when, and what it brings (PROTOCOL.md F-7, I-5, I-6).
import { passEsis, partition, PROFILES, repairCount, topUpEsis } from '@sluice/fec';
import { describe, expect, it } from 'vitest';
import { gapAfter, isAlive, kindAfter, type Schedule } from '../src/send/carousel.ts';
import type { PassOrder } from '../src/send/types.ts';
import { Air, type Flight } from './air.ts';

const schedule: Schedule = { passes: 2, topUps: 3, gap: 10, longestGap: 100, timeToLive: 5 };
const SIZE = 256;
const MAX_BLOCK = 200;

/** The ESIs of each block that left under a TOI, in order. */
function esisOf(flights: readonly Flight[], toi: number): Record<number, number[]> {
  const blocks: Record<number, number[]> = {};
  for (const { sbn, esi } of flights.filter((flight) => flight.toi === toi)) (blocks[sbn] ??= []).push(esi);
  for (const esis of Object.values(blocks)) esis.sort((a, b) => a - b);
  return blocks;
}
const sorted = (esis: Uint8Array): number[] => [...esis].sort((a, b) => a - b);
const done = (air: Air): string[] =>
  air.events.flatMap((event) => (event.type === 'pass-done' ? [`${event.bundle} ${event.pass} ${event.kind}`] : []));

describe('the schedule', () => {
  it('has full passes, then repair symbols alone, then statements, ever more seldom', () => {
    const passes = Array.from({ length: 9 }, (_, done) => `${kindAfter(done, schedule)} ${gapAfter(done, schedule)}`);
    expect(passes).toEqual([
      'full 10',
      'full 10',
      'top-up 20',
      'top-up 40',
      'top-up 80',
      'statements 100',
      'statements 100',
      'statements 100',
      'statements 100',
    ]);
    expect(gapAfter(1_000_000, schedule)).toBe(100);
  });

  it('ends when so many bundles came after', () => {
    expect([8, 9, 10].map((sequence) => isAlive(sequence, 13, schedule))).toEqual([false, true, true]);
  });
});

describe('of passes that wait,', () => {
  it('repairs leave first, then first passes in their order, then repeats, newest first; priority before age', () => {
    const air = new Air();
    const submit = (bundle: string, more: Partial<PassOrder>): void => {
      air.machine.submit(air.order([2000], { bundle, ...more }));
    };
    submit('first', { pass: 0, newness: 1 });
    submit('old', { pass: 1, newness: 2 });
    submit('later', { pass: 0, newness: 9 });
    submit('new', { pass: 3, newness: 8, kind: 'top-up' });
    submit('urgent old', { pass: 1, newness: 1, priority: 1 });
    submit('urgent', { pass: 0, newness: 3, priority: 1 });
    submit('asked', { pass: 2, kind: 'repair' });
    submit('asked later', { pass: 2, kind: 'repair' });
    air.run();
    expect(done(air)).toEqual([
      'asked 2 repair',
      'asked later 2 repair',
      'urgent 0 full',
      'first 0 full',
      'later 0 full',
      'urgent old 1 full',
      'new 3 top-up',
      'old 1 full',
    ]);
  });
});

describe.each([
  ['in the plain form', false],
  ['by the kernel', true],
])('a pass, made %s,', (_how, kernel) => {
  const sizes = [SIZE * MAX_BLOCK * 4, 5 * SIZE];

  it('of repair symbols alone brings others each time, of every block', () => {
    const air = new Air({ kernel, rate: 1e8 });
    const order = air.order(sizes, { kind: 'top-up', pass: 2 });
    air.machine.submit(order);
    air.machine.submit({ ...order, pass: 3 });
    const flights = air.run();
    const tois = [...new Set(flights.map(({ toi }) => toi))].sort((a, b) => a - b);
    const objects = tois.filter((toi) => Object.keys(esisOf(flights, toi)).length === 4);
    expect(objects).toHaveLength(2);
    for (const [i, toi] of objects.entries()) {
      const m = repairCount(MAX_BLOCK, PROFILES.robust);
      for (const esis of Object.values(esisOf(flights, toi))) {
        expect(esis).toEqual(sorted(topUpEsis(2 + i, MAX_BLOCK, m)));
        expect(esis.every((esi) => esi >= MAX_BLOCK)).toBe(true);
      }
    }
    expect(done(air)).toEqual(['b 2 top-up', 'b 3 top-up']);
  });

  it('for a ticket brings the blocks that it names and nothing else', () => {
    const air = new Air({ kernel, rate: 1e8 });
    const order = air.order(sizes, { kind: 'repair', pass: 1, statements: [] });
    air.machine.submit({
      ...order,
      blocks: [
        [
          [1, 1],
          [3, 3],
        ],
        undefined,
      ],
    });
    const flights = air.run();
    expect([...new Set(flights.map(({ toi }) => toi))].sort()).toEqual([0, 1, 2]);
    const m = repairCount(MAX_BLOCK, PROFILES.robust);
    const all = sorted(passEsis(1, MAX_BLOCK, m));
    expect(esisOf(flights, 1)).toEqual({ 1: all, 3: all });
    expect(esisOf(flights, 2)).toEqual({ 0: sorted(passEsis(1, 5, repairCount(5, PROFILES.robust))) });
  });

  it('of statements alone brings them, and no quiet time after', () => {
    const air = new Air({ kernel, rate: 1e8 });
    air.machine.submit({ ...air.order([], { kind: 'statements', pass: 7 }) });
    const flights = air.run();
    expect(new Set(flights.map(({ toi }) => toi)).size).toBe(1 + 2 * 3);
    expect(done(air)).toEqual(['b 7 statements']);
  });

  it('that was cut off goes on behind the blocks that had left, and all together are the whole', () => {
    const objects = [SIZE * MAX_BLOCK * 30, 5 * SIZE, SIZE * MAX_BLOCK * 10];
    const blocks = objects.map((size) => partition(size, SIZE, MAX_BLOCK).blocks);
    const air = new Air({ kernel, rate: 1e9, groupBytes: 2 ** 20 });
    const order = air.order(objects);
    air.machine.submit(order);
    air.run();
    const points = air.events.flatMap((event) => (event.type === 'progress' ? [event.sentBlocks] : []));
    expect(points.at(-1)).toBe(blocks.reduce((a, b) => a + b));
    expect(new Set(points).size).toBeGreaterThan(3);
    for (const from of new Set(points)) {
      const again = new Air({ kernel, rate: 1e9, groupBytes: 2 ** 20 });
      again.machine.submit({ ...again.order(objects), from });
      const flights = again.run();
      const sent = new Set(flights.filter(({ toi }) => toi > 0).map(({ toi, sbn }) => `${toi} ${sbn}`));
      const statements = 6;
      expect(sent.size, `from ${from}`).toBe(statements + blocks.reduce((a, b) => a + b) - from);
      const end = again.events.findLast((event) => event.type === 'progress');
      expect(end?.type === 'progress' ? end.sentBlocks : 0).toBe(points.at(-1));
    }
  });
});
