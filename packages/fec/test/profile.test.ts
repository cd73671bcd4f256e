// How much repair a pass sends and which symbols it sends (docs/PROTOCOL.md F-4, F-5, F-6).
import { describe, expect, it } from 'vitest';
import { createCodec, makeProfile, passEsis, topUpEsis, PROFILES, repairCount } from '@sluice/fec';
import { Random } from '../../testkit/src/random.ts';
import { SYMBOLS } from './samples.ts';

/** F-4 in whole numbers, r = numerator / denominator. */
const repairBy = (k: number, numerator: number, denominator: number): number =>
  Math.min(
    SYMBOLS - k,
    Math.max(Math.floor((numerator * k + denominator - 1) / denominator), Math.min(k + 2, 8 + Math.floor(k / 16))),
  );

describe('m(k)', () => {
  it.each([
    [1, 3],
    [2, 4],
    [5, 7],
    [6, 8],
    [15, 8],
    [16, 9],
    [100, 14],
    [160, 18],
    [192, 20],
    [199, 20],
    [200, 20],
  ])('of a block of %i source symbols is %i, robust', (k, m) => {
    expect(repairCount(k, PROFILES.robust)).toBe(m);
  });

  it.each([
    [1, 3],
    [6, 8],
    [15, 8],
    [32, 10],
    [63, 11],
    [64, 8],
  ])('of a block of %i source symbols is %i, fast', (k, m) => {
    expect(repairCount(k, PROFILES.fast)).toBe(m);
  });

  it('follows F-4 for every named m, every B and every k', () => {
    const wrong: string[] = [];
    for (let maxBlock = 1; maxBlock <= 250; maxBlock += 1) {
      for (let repair = 1; repair <= SYMBOLS - maxBlock; repair += maxBlock > 200 ? 1 : 7) {
        const profile = makeProfile({ name: 'named', maxBlock, repair });
        if (repairCount(maxBlock, profile) !== repair) wrong.push(`full B ${maxBlock} m ${repair}`);
        for (let k = 1; k < maxBlock; k += 1) {
          const m = repairCount(k, profile);
          if (m !== repairBy(k, repair, maxBlock)) wrong.push(`B ${maxBlock} m ${repair} k ${k}: ${m}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('follows F-4 for every ratio in per cent, full blocks too', () => {
    const wrong: string[] = [];
    for (let percent = 1; percent <= 400; percent += 1) {
      for (const maxBlock of [1, 64, 199, 250]) {
        const profile = makeProfile({ name: 'ratio', maxBlock, ratio: percent / 100 });
        for (let k = 1; k <= maxBlock; k += 1) {
          if (repairCount(k, profile) !== repairBy(k, percent, 100)) wrong.push(`${percent} %, B ${maxBlock}, k ${k}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('leaves room for 255 symbols and no more', () => {
    const profile = makeProfile({ name: 'all', maxBlock: 250, ratio: 255 });
    for (let k = 1; k <= 250; k += 1) expect(k + repairCount(k, profile)).toBe(SYMBOLS);
  });
});

describe('profiles', () => {
  it('are those of F-6', () => {
    expect(PROFILES.robust).toMatchObject({ name: 'robust', maxBlock: 200, repair: 20, ratio: 0.1 });
    expect(PROFILES.fast).toMatchObject({ name: 'fast', maxBlock: 64, repair: 8, ratio: 0.125 });
  });

  it.each([
    [{ maxBlock: 0, repair: 1 }, /full block in FEC profile p is 0/],
    [{ maxBlock: 251, repair: 1 }, /from 1 to 250/],
    [{ maxBlock: 200, repair: 0 }, /repair symbols of a full block in FEC profile p is 0/],
    [{ maxBlock: 200, repair: 56 }, /from 1 to 55/],
    [{ maxBlock: 200, repair: 2.5 }, /must be a whole number/],
    [{ maxBlock: 200, ratio: 0 }, /ratio of FEC profile p is 0, but must be greater than 0/],
    [{ maxBlock: 200, ratio: Number.NaN }, /ratio of FEC profile p is NaN/],
    [{ maxBlock: 200, ratio: Infinity }, /ratio of FEC profile p is Infinity/],
  ])('are refused outside the limits: %j', (options, message) => {
    expect(() => makeProfile({ name: 'p', ...options })).toThrow(message);
  });

  it('know no block longer than their own', () => {
    expect(() => repairCount(65, PROFILES.fast)).toThrow(/from 1 to 64/);
    expect(() => repairCount(0, PROFILES.fast)).toThrow(/is 0/);
  });
});

describe('the symbols of a pass', () => {
  const shapes = [
    [1, 3],
    [64, 8],
    [200, 20],
    [100, 14],
    [250, 5],
    [85, 0],
  ] as const;

  it.each(shapes)('are k + m consecutive ESIs modulo 255 from p (k + m), k = %i, m = %i', (k, m) => {
    for (let pass = 0; pass < 600; pass += 1) {
      const want = Array.from({ length: k + m }, (_, i) => (pass * (k + m) + i) % SYMBOLS);
      expect([...passEsis(pass, k, m)]).toEqual(want);
    }
  });

  it('are exact in passes beyond any that will come', () => {
    for (const pass of [2 ** 31, 2 ** 32 + 1, 2 ** 45 + 12345, Number.MAX_SAFE_INTEGER]) {
      const first = Number((BigInt(pass) * 220n) % 255n);
      expect(passEsis(pass, 200, 20)[0]).toBe(first);
    }
  });

  it.each(shapes)('are new ones until all 255 have been sent, k = %i, m = %i', (k, m) => {
    const seen = new Set<number>();
    for (let pass = 0; seen.size < SYMBOLS; pass += 1) {
      for (const esi of passEsis(pass, k, m)) {
        if (seen.size === SYMBOLS) break;
        expect(seen.has(esi)).toBe(false);
        seen.add(esi);
      }
    }
  });

  it('begin with the source symbols', () => {
    expect([...passEsis(0, 4, 6)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('are enough alone, with m of them lost, in every pass', () => {
    const codec = createCodec();
    const random = new Random(55);
    for (const [k, m] of shapes) {
      const source = random.bytes(k * 3);
      for (let pass = 0; pass < 12; pass += 1) {
        const esis = [...passEsis(pass, k, m)];
        for (let lost = 0; lost < m; lost += 1) esis.splice(random.below(esis.length), 1);
        const held = new Uint8Array(k).fill(255);
        for (const esi of esis) if (esi < k) held[esi] = esi;
        for (const esi of esis) if (esi >= k) held[held.indexOf(255)] = esi;
        const block = new Uint8Array(k * 3);
        codec.encode(source, k, 3, held, block);
        expect(codec.recover(block, k, 3, held), `pass ${pass}, k ${k}`).toBe(true);
        expect(Buffer.compare(block, source)).toBe(0);
      }
    }
  });

  it.each([
    [-1, 4, 4],
    [0.5, 4, 4],
    [0, 0, 4],
    [0, 250, 6],
    [0, 4, -1],
  ])('are not asked for in pass %d of k = %d, m = %d', (pass, k, m) => {
    expect(() => passEsis(pass, k, m)).toThrow(RangeError);
  });
});

describe('the ESIs of a top-up pass', () => {
  it.each([
    [200, 20],
    [64, 8],
    [1, 3],
    [250, 5],
  ])('are repair symbols, others each time until all have been sent, k = %i, m = %i', (k, m) => {
    const seen = new Set<number>();
    for (let pass = 0; seen.size < 255 - k; pass += 1) {
      const esis = topUpEsis(pass, k, m);
      expect(new Set(esis).size).toBe(m);
      expect(Math.min(...esis)).toBeGreaterThanOrEqual(k);
      const fresh = [...esis].filter((esi) => !seen.has(esi));
      expect(fresh.length).toBe(Math.min(m, 255 - k - seen.size));
      for (const esi of esis) seen.add(esi);
    }
    expect(Math.max(...seen)).toBe(254);
  });
});
