import { describe, expect, it } from 'vitest';
import type { ObjectInfo } from '@sluice/transfer';
import { BlockWatch, HEAT_COLUMNS, HEAT_ROWS } from '../src/replay/blocks.ts';
import { SequenceWatch } from '../src/replay/sequence.ts';
import { Timeline } from '../src/replay/timeline.ts';

/** The bursts, and what is late, of numbers that come one a millisecond. */
function watched(numbers: Iterable<number>): { bursts: [length: number, ns: number][]; late: number; tooLate: number } {
  const bursts: [number, number][] = [];
  const watch = new SequenceWatch({ onBurst: (length, ns) => bursts.push([length, ns]) });
  let ns = 0;
  for (const number of numbers) watch.add(number, (ns += 1e6));
  watch.end();
  return { bursts, late: watch.late, tooLate: watch.tooLate };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('the sequence numbers of a session', () => {
  it('have no burst where none is missing, wherever they begin', () => {
    expect(watched(range(70_000, 90_000))).toEqual({ bursts: [], late: 0, tooLate: 0 });
  });

  it('give each run of lost ones with its length, and when it was noticed', () => {
    const numbers = range(1, 30_000).filter((n) => n !== 100 && !(n >= 20_000 && n < 20_050) && n !== 20_051);
    expect(watched(numbers).bursts).toEqual([
      [1, 100e6],
      [50, 20_000e6 - 1e6],
      [1, 20_000e6],
    ]);
  });

  it('that come late are none of them, within reason', () => {
    const numbers = [...range(1, 100), ...range(151, 200), ...range(101, 150), ...range(201, 10_000), 50_000, 5];
    const { bursts, late } = watched(numbers);
    expect(bursts.map(([length]) => length)).toEqual([39_999]);
    expect(late).toBe(51);
    const [early = 0, ...rest] = range(1, 20_000);
    expect(watched([...rest.filter((n) => n !== 500), 500, early])).toMatchObject({
      bursts: [[1, 499e6]],
      late: 2,
      tooLate: 2,
    });
  });

  it('that jump by more than anything can hold make one burst', () => {
    expect(watched([1, 2, 2 ** 39, 2 ** 39 + 2]).bursts.map(([length]) => length)).toEqual([2 ** 39 - 3, 1]);
  });
});

describe('the timeline', () => {
  it('has a bounded number of steps, and loses nothing', () => {
    const timeline = new Timeline();
    const start = 1.79e18;
    for (let second = 0; second < 100_000; second += 1) timeline.add(start + second * 1e9, 'seen');
    timeline.add(start - 5e9, 'before');
    const steps = timeline.steps();
    expect(steps.length).toBeLessThanOrEqual(480);
    expect(steps.reduce((sum, { counts }) => sum + (counts.seen ?? 0), 0)).toBe(100_000);
    expect(steps[0]?.counts.before).toBe(1);
    expect((steps[1]?.at ?? 0) - (steps[0]?.at ?? 0)).toBe(timeline.stepNs);
  });
});

describe('the blocks', () => {
  const info = (size: number): ObjectInfo => ({
    ...{ digest: `sha256:${'0'.repeat(64)}`, size, contentType: 'application/octet-stream', symbolBytes: 1408 },
    ...{ maxBlock: 10, asid: 0, channel: 'prod' },
  });

  it('tell what each lost and had to spare, whether their FDT came before or after', () => {
    const watch = new BlockWatch();
    // Two blocks of ten, with three repair symbols: the first loses nothing, the second 4 and 12.
    for (const sbn of [0, 1]) {
      for (let esi = 0; esi < 13; esi += 1) if (sbn === 0 || ![4, 12].includes(esi)) watch.symbol(5, 1, sbn, esi);
    }
    watch.named(5, 1, info(20 * 1408));
    watch.symbol(5, 2, 0, 0);
    const { blocks, byLost, byMargin, heat } = watch.end();
    expect(blocks).toBe(2);
    expect([...byLost].toSorted()).toEqual([
      [0, 1],
      [2, 1],
    ]);
    expect([...byMargin].toSorted((a, b) => a[0] - b[0])).toEqual([
      [1, 1],
      [3, 1],
    ]);
    expect([4, 12].map((esi) => [heat.sent[HEAT_COLUMNS + esi], heat.lost[HEAT_COLUMNS + esi]])).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(heat.lost.reduce((sum, n) => sum + n, 0)).toBe(2);
  });

  it('of very many objects take no more memory and no more rows than those of a few', () => {
    const watch = new BlockWatch();
    const OBJECTS = 120_000;
    for (let toi = 1; toi <= OBJECTS; toi += 1) {
      watch.named(5, toi, info(1408));
      for (const esi of [0, 1, 2]) watch.symbol(5, toi, 0, esi);
    }
    const { blocks, rowBlocks, heat, byMargin } = watch.end();
    expect(blocks).toBe(OBJECTS);
    expect(rowBlocks * HEAT_ROWS).toBeGreaterThanOrEqual(OBJECTS);
    expect(heat.sent.reduce((sum, n) => sum + n, 0)).toBe(3 * OBJECTS);
    expect([...byMargin]).toEqual([[2, OBJECTS]]);
  });
});
