// The replay window of 65,536 sequence numbers (docs/PROTOCOL.md A-5).
import { WINDOW } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { Random } from '../../testkit/src/index.ts';
import { ReplayWindow } from '../src/receive/window.ts';
import { Bench, E, TSI, WAYS } from './bench.ts';

const SN_MAX = 2 ** 40 - 1;

/** What a window must say, by remembering everything. */
class Remembered {
  readonly #seen = new Set<number>();
  highest = 0;
  lowest = Infinity;

  has(sn: number): boolean {
    return sn === 0 || sn <= this.highest - WINDOW || this.#seen.has(sn);
  }

  add(sn: number): void {
    this.#seen.add(sn);
    this.highest = Math.max(this.highest, sn);
    this.lowest = Math.min(this.lowest, sn);
  }

  get count(): number {
    return this.#seen.size;
  }
}

/** A walk over sequence numbers: mostly near the highest, at times around the window's edge, at times far ahead. */
function walk(random: Random, highest: number): number {
  const where = random.unit();
  const near = random.below(40);
  if (where < 0.55) return highest + near;
  if (where < 0.75) return highest - near;
  if (where < 0.85) return highest - WINDOW + 20 - near;
  if (where < 0.9) return highest - random.below(WINDOW + 100);
  if (where < 0.95) return highest + random.below(2 * WINDOW);
  if (where < 0.97) return highest + WINDOW - 2 + random.below(4);
  if (where < 0.98) return highest + random.below(2 ** 30);
  return near;
}

describe('the window', () => {
  it('remembers as one does that forgets nothing within 65,536: 8 seeds of 3,000 numbers', () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const random = new Random(seed);
      const window = new ReplayWindow();
      const all = new Remembered();
      const wrong: number[] = [];
      for (let turn = 0; turn < 3000; turn += 1) {
        const sn = Math.min(SN_MAX, Math.max(0, walk(random, all.highest)));
        if (window.has(sn) !== all.has(sn)) wrong.push(sn);
        if (all.has(sn)) continue;
        window.add(sn);
        all.add(sn);
      }
      expect(wrong, `seed ${seed}`).toEqual([]);
      expect(window.highest).toBe(all.highest);
      expect(window.count).toBe(all.count);
      expect(window.missing).toBe(all.highest - all.lowest + 1 - all.count);
    }
  });

  it('has an edge: the number 65,535 below the highest is news, the next one is not', () => {
    const window = new ReplayWindow();
    window.add(1_000_000);
    expect(window.has(1_000_000 - WINDOW + 1)).toBe(false);
    expect(window.has(1_000_000 - WINDOW)).toBe(true);
    expect(window.has(1)).toBe(true);
    window.add(1_000_000 - WINDOW + 1);
    expect(window.has(1_000_000 - WINDOW + 1)).toBe(true);
    window.add(1_000_001);
    expect(window.has(1_000_000 - WINDOW + 1)).toBe(true);
    expect(window.has(1_000_000 - WINDOW + 2)).toBe(false);
  });

  it('forgets as it moves on, by one or by more than its length', () => {
    for (const step of [1, 33, WINDOW - 1, WINDOW, WINDOW + 1]) {
      const window = new ReplayWindow();
      for (let sn = 1; sn <= WINDOW; sn += 1) window.add(sn);
      window.add(WINDOW + step);
      const old = Array.from({ length: step - 1 }, (_, i) => WINDOW + 1 + i).filter((sn) => window.has(sn));
      expect(old.every((sn) => sn <= step)).toBe(true);
      expect(window.has(WINDOW)).toBe(true);
      expect(window.has(WINDOW + step)).toBe(true);
      expect(window.has(WINDOW + step + 1)).toBe(false);
    }
  });

  it('forgets what is out of it and nothing else, however far it moves on', () => {
    for (const step of [
      ...Array.from({ length: 100 }, (_, i) => i + 1),
      ...Array.from({ length: 70 }, (_, i) => WINDOW - 70 + i),
    ]) {
      const window = new ReplayWindow();
      window.beginBehind(WINDOW + 7);
      const highest = WINDOW + 7 + step;
      window.add(highest);
      const news = Array.from({ length: WINDOW }, (_, i) => highest - i).filter((sn) => !window.has(sn));
      expect([step, news.length, news[0], news.at(-1)]).toEqual([
        ...[step, step - 1],
        ...(step === 1 ? [undefined, undefined] : [highest - 1, WINDOW + 8]),
      ]);
    }
  });

  it('goes to the end of 40 bits', () => {
    const window = new ReplayWindow();
    for (const sn of [SN_MAX - 3, SN_MAX, SN_MAX - 1]) {
      expect(window.has(sn)).toBe(false);
      window.add(sn);
      expect(window.has(sn)).toBe(true);
    }
    expect(window.has(SN_MAX - 2)).toBe(false);
    expect(window.highest).toBe(SN_MAX);
    expect(window.missing).toBe(1);
  });
});

describe.each(WAYS)('a session, %s,', (way) => {
  it('takes every number of the window once, in any order', () => {
    const random = new Random(4);
    const bench = new Bench({ way });
    const all = new Remembered();
    const wrong: string[] = [];
    for (let turn = 0; turn < 1500; turn += 1) {
      const sn = Math.min(SN_MAX, Math.max(1, walk(random, all.highest)));
      const verdict = bench.send(bench.datagram(1 + turn, 0, 0, new Uint8Array(E), { sn }));
      if ((verdict === 'replayed') !== all.has(sn)) wrong.push(`SN ${sn}: ${verdict}`);
      if (!all.has(sn)) all.add(sn);
    }
    expect(wrong).toEqual([]);
    expect(bench.machine.lost).toBe(all.highest - all.lowest + 1 - all.count);
  });

  it('has a window of its own', () => {
    const bench = new Bench({ way });
    const media = 2 ** 30 + 1;
    for (const tsi of [TSI, media, media + 1, 2 ** 31 + 1]) {
      const first = bench.datagram(1, 0, 0, new Uint8Array(E), { tsi, sn: 500 });
      expect([bench.send(first), bench.send(first)]).toEqual(['accepted', 'replayed']);
    }
    expect(bench.machine.lost).toBe(0);
  });

  it('counts what was lost between the first and the last that came, over sessions that closed', () => {
    const bench = new Bench({ way });
    for (const sn of [100, 101, 105, 103]) bench.send(bench.datagram(1, 0, 0, new Uint8Array(E), { sn }));
    expect(bench.machine.lost).toBe(2);
    bench.send(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi: TSI + 1, sn: 7 }));
    bench.machine.tick(bench.now + 5e9);
    expect(bench.machine.lost).toBe(2);
    bench.send(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi: TSI + 1, sn: 9 }));
    expect(bench.machine.lost).toBe(3);
  });
});
