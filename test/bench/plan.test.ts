import { describe, expect, it } from 'vitest';
import type { Context } from './cell.ts';
import { Plan, type PlanOptions, REPAIR_20 } from './plan.ts';
import { GIB } from './stats.ts';

const context: Context = { base: '/nowhere', keysFrom: '/nowhere', rounds: 3, keep: false, say: () => undefined };
const options: PlanOptions = {
  full: false,
  size: GIB,
  files: 100_000,
  warmUp: 0,
  iperfSeconds: 1,
  rate: undefined,
  byHand: [],
  only: [],
};
const names = (more: Partial<PlanOptions>): string[] =>
  new Plan(context, { ...options, ...more }).cells.map(({ name }) => name);

describe('the plan', () => {
  it('measures every figure of the report, each once', () => {
    const all = names({});
    expect(new Set(all).size).toBe(all.length);
    for (const net of ['loopback', 'veth'])
      for (const what of ['iperf3', 'udpcast', 'fast', 'robust']) expect(all).toContain(`${net}.${what}`);
    for (const name of ['loss.clean', 'loss.p1', 'loss.p5', 'rss.fast', 'rss.robust', 'small.files'])
      expect(all).toContain(name);
    expect(all.some((name) => name.startsWith('full.'))).toBe(false);
  });

  it('adds the rest of the measurements with --full', () => {
    const added = names({ full: true }).filter((name) => !names({}).includes(name));
    expect(added.every((name) => name.startsWith('full.'))).toBe(true);
    for (const name of ['full.jumbo.fast', 'full.image', 'full.series.64MiB', 'full.series.8GiB', 'full.loss.fast-0.5'])
      expect(added).toContain(name);
  });

  it('takes what it is told to, by name or by the first part of one', () => {
    expect(names({ only: ['loopback.fast'] })).toEqual(['loopback.fast']);
    expect(names({ only: ['loss', 'rss.fast'] })).toEqual(['loss.clean', 'loss.p1', 'loss.p5', 'rss.fast']);
  });

  it('refuses a name that nothing has', () => {
    expect(() => names({ only: ['loopback.fas'] })).toThrow('there is no measurement "loopback.fas"');
  });
});

/** Chance that of n datagrams more than m are lost. */
function blockLost(n: number, m: number, p: number): number {
  let chance = 0;
  let term = (1 - p) ** n;
  for (let lost = 0; lost <= n; lost += 1) {
    if (lost > m) chance += term;
    term *= ((n - lost) / (lost + 1)) * (p / (1 - p));
  }
  return chance;
}

describe('the codes of the loss measurements', () => {
  const objectLost = (k: number, m: number, p: number): number => (GIB / (k * 1408)) * blockLost(k + m, m, p);

  it('carry one GiB in one pass but for one run in a hundred, at most', () => {
    expect(objectLost(64, 8, 0.01)).toBeLessThan(0.01);
    const { maxBlock = 0, repair = 0 } = REPAIR_20.fec;
    expect(repair / maxBlock).toBe(0.2);
    expect(objectLost(maxBlock, repair, 0.05)).toBeLessThan(0.01);
  });

  it('would not with the same repair in the blocks of the fast profile', () => {
    expect(objectLost(64, 13, 0.05)).toBeGreaterThan(0.1);
  });
});
