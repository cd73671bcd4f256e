import { describe, expect, it } from 'vitest';
import { median, mbps, parseBytes, printBytes } from './stats.ts';

describe('median', () => {
  it('is the middle value, whatever the order', () => {
    expect(median([30, 10, 20])).toBe(20);
    expect(median([5])).toBe(5);
  });

  it('sorts by value, not as text', () => {
    expect(median([9, 100, 10])).toBe(10);
  });

  it('is the lower of two in the middle, so a result is never better than one that was seen', () => {
    expect(median([4, 1, 3, 2])).toBe(2);
  });

  it('of nothing is an error', () => {
    expect(() => median([])).toThrow('no values');
  });

  it('leaves the values as they were', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('sizes', () => {
  it('are read with binary units', () => {
    expect(['1GiB', '64MiB', '4KiB', '17'].map(parseBytes)).toEqual([2 ** 30, 2 ** 26, 4096, 17]);
  });

  it('are refused in other spellings', () => {
    for (const text of ['', '1GB', '-1', '1.5MiB', 'MiB']) expect(() => parseBytes(text)).toThrow('is no size');
  });

  it('are printed as they are read', () => {
    for (const text of ['8GiB', '64MiB', '1GiB']) expect(printBytes(parseBytes(text))).toBe(text);
  });
});

it('a rate counts bits', () => {
  expect(mbps(125_000_000, 2)).toBe(500);
});
