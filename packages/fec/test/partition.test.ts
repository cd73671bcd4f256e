// RFC 5052 section 9.1 (docs/PROTOCOL.md F-1), against its formulas in whole numbers of any size.
import { describe, expect, it } from 'vitest';
import { blockBytes, blockLength, blockOffset, partition } from '@sluice/fec';
import { Random } from '../../testkit/src/random.ts';

const MOST = 2 ** 40;
const ceil = (a: bigint, b: bigint): bigint => (a + b - 1n) / b;

/** The RFC's two steps: T = ceil(L/E), N = ceil(T/B); A_large = ceil(T/N), A_small = floor(T/N), I = T - A_small * N. */
function byTheBook(transferLength: number, symbolBytes: number, maxBlock: number) {
  const symbols = ceil(BigInt(transferLength), BigInt(symbolBytes));
  const blocks = ceil(symbols, BigInt(maxBlock));
  const small = symbols / blocks;
  const large = ceil(symbols, blocks);
  const numbers = { symbols, blocks, large, small, largeBlocks: symbols - small * blocks };
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value)]));
}

/** 2^0 to 2^40, as many near each power of two. */
const lengthOf = (random: Random): number => Math.min(MOST, Math.ceil(2 ** (random.unit() * 40)));

/** [L, E, B] -> [T, N, A_large, A_small, I], worked out by hand. */
const EXAMPLES: readonly (readonly [
  cut: readonly [number, number, number],
  into: readonly [number, number, number, number, number],
  what: string,
])[] = [
  [[1, 1408, 200], [1, 1, 1, 1, 0], 'one byte'],
  [[1408, 1408, 200], [1, 1, 1, 1, 0], 'one symbol'],
  [[1409, 1408, 200], [2, 1, 2, 2, 0], 'one byte more'],
  [[281_600, 1408, 200], [200, 1, 200, 200, 0], 'one full block'],
  [[281_601, 1408, 200], [201, 2, 101, 100, 1], 'one symbol more than a full block'],
  [[1_000_000, 1408, 200], [711, 4, 178, 177, 3], 'a million bytes: 711 = 3 * 178 + 177'],
  [[4_194_304, 1408, 200], [2979, 15, 199, 198, 9], 'a pack of 4 MiB: 2979 = 9 * 199 + 6 * 198'],
  [[10, 1, 3], [10, 4, 3, 2, 2], 'ten symbols in blocks of three: 3 + 3 + 2 + 2'],
  [[250, 1, 1], [250, 250, 1, 1, 0], 'a block for each symbol'],
  [[2 ** 40, 8896, 250], [123_596_182, 494_385, 250, 249, 494_317], 'a tebibyte in the longest symbols'],
  [[2 ** 40, 64, 250], [2 ** 34, 68_719_477, 250, 249, 68_719_411], 'a tebibyte in the shortest symbols'],
];

describe('partition', () => {
  it.each(EXAMPLES)('cuts %j to %j: %s', (cut, into) => {
    const { symbols, blocks, large, small, largeBlocks, ...asked } = partition(...cut);
    expect([symbols, blocks, large, small, largeBlocks]).toEqual(into);
    expect(asked).toEqual({ transferLength: cut[0], symbolBytes: cut[1] });
  });

  it('follows the formulas at every size up to 2^40', () => {
    const random = new Random(5052);
    const wrong: unknown[] = [];
    for (let turn = 0; turn < 20_000; turn += 1) {
      const symbolBytes = 1 + random.below(random.chance(0.5) ? 65535 : 1500);
      const maxBlock = 1 + random.below(250);
      const whole = Math.ceil(lengthOf(random) / symbolBytes) * symbolBytes;
      for (const length of [whole - 1, whole, whole + 1]) {
        if (length < 1 || length > MOST) continue;
        const { transferLength, symbolBytes: e, ...found } = partition(length, symbolBytes, maxBlock);
        const book = byTheBook(length, symbolBytes, maxBlock);
        const same = Object.entries(book).every(([name, value]) => found[name as keyof typeof found] === value);
        if (!same || transferLength !== length || e !== symbolBytes) wrong.push([length, symbolBytes, maxBlock]);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('covers the object with blocks that touch, differ by one symbol at most, and are as few as B allows', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = new Random(seed);
      const symbolBytes = 1 + random.below(2000);
      const maxBlock = 1 + random.below(250);
      const shape = partition(1 + random.below(symbolBytes * 3000), symbolBytes, maxBlock);
      let end = 0;
      const lengths = new Set<number>();
      for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
        const k = blockLength(shape, sbn);
        lengths.add(k);
        expect(blockOffset(shape, sbn)).toBe(end);
        // Zeros pad the last symbol of the object and no other (F-3).
        const bytes = blockBytes(shape, sbn);
        const padding = k * symbolBytes - bytes;
        if (sbn < shape.blocks - 1) expect(padding).toBe(0);
        else expect(padding >= 0 && padding < symbolBytes).toBe(true);
        end += bytes;
      }
      expect(end).toBe(shape.transferLength);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(maxBlock);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBe(lengths.size - 1);
      expect(lengths.size).toBeLessThanOrEqual(2);
      expect(shape.blocks).toBe(Math.ceil(Math.ceil(shape.transferLength / symbolBytes) / maxBlock));
    }
  });

  it('finds the last block of the largest objects', () => {
    for (const [length, symbolBytes, maxBlock] of [
      [MOST, 1408, 200],
      [MOST - 1, 64, 250],
      [MOST - 8895, 8896, 249],
    ] as const) {
      const shape = partition(length, symbolBytes, maxBlock);
      const last = shape.blocks - 1;
      expect(blockOffset(shape, last) + blockBytes(shape, last)).toBe(length);
      expect(blockLength(shape, last)).toBe(shape.small);
      expect(blockLength(shape, 0)).toBe(shape.large);
      const border = shape.largeBlocks;
      expect(blockOffset(shape, border)).toBe(border * shape.large * symbolBytes);
      expect(blockOffset(shape, border + 1)).toBe((border * shape.large + shape.small) * symbolBytes);
    }
  });

  it.each([
    ['an object of no bytes', 0, 64, 200, /transfer length is 0/],
    ['an object beyond 2^40', MOST + 1, 64, 200, /from 1 to 1099511627776/],
    ['half a byte', 1.5, 64, 200, /transfer length is 1.5/],
    ['symbols of no bytes', 1, 0, 200, /symbol length is 0/],
    ['symbols beyond 16 bits', 1, 65536, 200, /from 1 to 65535/],
    ['blocks of no symbols', 1, 64, 0, /maximum block length is 0/],
    ['blocks of 251 symbols', 1, 64, 251, /from 1 to 250/],
  ])('has no room for %s', (_what, length, symbolBytes, maxBlock, message) => {
    expect(() => partition(length, symbolBytes, maxBlock)).toThrow(message);
  });

  it('knows no block before the first or behind the last', () => {
    const shape = partition(10, 1, 3);
    for (const sbn of [-1, 4, 0.5, Number.NaN]) {
      for (const ask of [blockLength, blockOffset, blockBytes]) expect(() => ask(shape, sbn)).toThrow(/from 0 to 3/);
    }
  });
});
