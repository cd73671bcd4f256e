import { describe, expect, it } from 'vitest';
import { buckets, diskCheck, duration, History, Pace, runs } from '../src/index.ts';

describe('what the page shows in words', () => {
  it('runs of numbers', () => {
    expect(runs([])).toBe('');
    expect(runs([4])).toBe('4');
    expect(runs([1, 2, 3, 7, 9, 10])).toBe('1 to 3, 7, 9 to 10');
    expect(runs([1, 3, 5, 7], 2)).toBe('1, 3 and more');
  });

  it('stretches of time', () => {
    expect([0, 89, 90, 5399, 5400, 172_799, 172_800].map(duration)).toEqual([
      ...['0 s', '89 s', '2 min', '90 min', '1.5 h', '48.0 h', '2 days'],
    ]);
  });

  it('margins by size, each counted once', () => {
    expect(buckets([0, 0, 1, 3, 4, 8, 15, 16, 255]).map(({ count }) => count)).toEqual([2, 2, 1, 2, 2]);
  });
});

describe('the history of counters', () => {
  it('keeps how much they grew, the latest steps', () => {
    const history = new History(2, 3);
    for (const [sent, lost] of [
      [10, 5],
      [30, 5],
      [30, 4],
      [31, 9],
      [40, 9],
    ] as const)
      history.sample([sent, lost]);
    expect(history.series(0)).toEqual([0, 1, 9]);
    // What comes late takes from the losses; a rate below nothing there is not.
    expect(history.series(1)).toEqual([0, 5, 0]);
  });

  it('begins anew with the process that counts', () => {
    const history = new History(2, 10);
    history.sample([1000, 50]);
    history.sample([7, 2]);
    expect([history.series(0), history.series(1)]).toEqual([[7], [2]]);
  });
});

describe('the pace', () => {
  it('says what is left at the speed of the last while', () => {
    const pace = new Pace();
    expect(pace.eta('a', 0, 1000, 0)).toBeUndefined();
    expect(pace.eta('a', 100, 1000, 2000)).toBeCloseTo(18);
    expect(pace.eta('b', 5, 10, 2000)).toBeUndefined();
    // What was long ago does not count.
    expect(pace.eta('a', 100, 1000, 2000 + Pace.WINDOW_MS)).toBeUndefined();
    expect(pace.eta('a', 400, 1000, 3000 + Pace.WINDOW_MS)).toBeCloseTo(2);
  });

  it('says nothing of what stands', () => {
    const pace = new Pace();
    pace.eta('a', 100, 1000, 0);
    expect(pace.eta('a', 100, 1000, 5000)).toBeUndefined();
  });
});

describe('the check of a disk', () => {
  it('passes with room, warns without, fails when there is hardly any', async () => {
    const status = async (least: number) => (await diskCheck('state', '/', least).check()).status;
    expect(await status(1)).toBe('pass');
    const { observedValue } = await diskCheck('state', '/', 1).check();
    const free = Number(observedValue) * 2 ** 20;
    expect(await status(free * 2)).toBe('warn');
    expect(await status(free * 20)).toBe('fail');
  });
});
