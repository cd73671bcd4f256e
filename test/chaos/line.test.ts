import { describe, expect, it } from 'vitest';
import { keepsTo, keptTo, lineThrough, type Point } from './line.ts';

/** Ten stretches of two minutes; hours. */
const stretches = (y: (hour: number, i: number) => number): Point[] =>
  Array.from({ length: 10 }, (_, i) => ({ x: i / 30, y: y(i / 30, i) }));
const scattered = (perHour: number, scatter: number): Point[] =>
  // The same from either end, so that it makes no slope of its own.
  stretches((hour, i) => 100 + perHour * hour + (Math.min(i, 9 - i) % 2 === 0 ? scatter : -scatter));

describe('a line through points', () => {
  it('has their slope, and no error where they lie on it', () => {
    const { slope, error } = lineThrough(stretches((hour) => 7 + 3 * hour));
    expect(slope).toBeCloseTo(3, 6);
    expect(error).toBeCloseTo(0, 6);
  });

  it('has the standard error of the textbooks', () => {
    // x 1 to 5, y 2 1 4 3 5: slope 0.8, residuals 0.6 -1.2 1 -0.8 0.4, their squares 3.6 in all.
    const points = [2, 1, 4, 3, 5].map((y, i) => ({ x: i + 1, y }));
    const { slope, error } = lineThrough(points);
    expect(slope).toBeCloseTo(0.8, 9);
    expect(error).toBeCloseTo(Math.sqrt(3.6 / 3 / 10), 9);
  });

  it.each([
    ['grows', 1.5, 0, false, false],
    ['stands', 0.5, 0, true, true],
    ['shrinks by more than its scatter', -12, 1, true, true],
    ['grows by more than its scatter', 12, 1, false, false],
    ['is within, known to half of it', 0.8, 0.1, undefined, true],
    ['is beyond, known to half of it', 1.2, 0.1, undefined, false],
    ['is within, and nobody knows', 0.8, 1, undefined, false],
  ] as const)('that %s (%d an hour, scatter %d) keeps to 1: %s, and in the end %s', (_, perHour, scatter, now, end) => {
    const line = lineThrough(scattered(perHour, scatter));
    expect([keepsTo(line, 1), keptTo(line, 1)]).toEqual([now, end]);
  });

  it('is not known by two points', () => {
    const line = lineThrough([
      { x: 0, y: 9 },
      { x: 1, y: 0 },
    ]);
    expect([keepsTo(line, 1), keptTo(line, 1)]).toEqual([undefined, false]);
  });
});
