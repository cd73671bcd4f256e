import { describe, expect, it } from 'vitest';
import { searchRate } from './search.ts';

const OPTIONS = { start: 100, factor: 1.5, tolerance: 0.05, tries: 20 };

/** A link that loses above `limit`; tells what was tried. */
function link(limit: number) {
  const tried: number[] = [];
  const holds = (rate: number): Promise<boolean> => {
    tried.push(rate);
    return Promise.resolve(rate <= limit);
  };
  return { tried, holds };
}

describe('the search for the lossless rate', () => {
  it.each([30, 99, 100, 170, 1234])('finds %d from below within the tolerance', async (limit) => {
    const found = (await searchRate(link(limit).holds, OPTIONS)) ?? 0;
    expect(found).toBeLessThanOrEqual(limit);
    expect(found).toBeGreaterThanOrEqual(limit / 1.05);
  });

  it('goes no further than the ceiling, and ends there when it holds', async () => {
    const { tried, holds } = link(1000);
    expect(await searchRate(holds, { ...OPTIONS, ceiling: 160 })).toBe(160);
    expect(tried).toEqual([100, 150, 160]);
  });

  it('starts at the ceiling when the start is above it', async () => {
    const { tried, holds } = link(1000);
    await searchRate(holds, { ...OPTIONS, start: 500, ceiling: 160 });
    expect(tried).toEqual([160]);
  });

  it('gives nothing when no rate held', async () => {
    const { tried, holds } = link(0);
    expect(await searchRate(holds, { ...OPTIONS, tries: 4 })).toBeUndefined();
    expect(tried).toHaveLength(4);
  });

  it('gives the best that held when the tries are over', async () => {
    const { tried, holds } = link(450);
    const found = await searchRate(holds, { ...OPTIONS, tolerance: 0, tries: 6 });
    expect(found).toBe(Math.max(...tried.filter((rate) => rate <= 450)));
    expect(tried).toHaveLength(6);
  });
});
