import { describe, expect, it } from 'vitest';
import { grows, lineThrough, type Point } from './line.ts';

/** Ten stretches of two minutes; hours. */
const stretches = (y: (hour: number, i: number) => number): Point[] =>
  Array.from({ length: 10 }, (_, i) => ({ x: i / 30, y: y(i / 30, i) }));
const scattered = (perHour: number, scatter: number): Point[] =>
  stretches((hour, i) => 100 + perHour * hour + (i % 2 === 0 ? scatter : -scatter));

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

  it('is believed to grow where that is more than its scatter', () => {
    expect(grows(lineThrough(scattered(1.5, 0)), 1)).toBe(true);
    expect(grows(lineThrough(scattered(0.5, 0)), 1)).toBe(false);
    expect(grows(lineThrough(scattered(4, 1)), 1)).toBe(false);
    expect(grows(lineThrough(scattered(12, 1)), 1)).toBe(true);
    expect(
      grows(
        lineThrough([
          { x: 0, y: 0 },
          { x: 1, y: 9 },
        ]),
        1,
      ),
    ).toBe(false);
  });
});
