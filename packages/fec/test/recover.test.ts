// Any k of the 255 symbols give the block (docs/PROTOCOL.md F-5); anything else is refused and changes nothing.
import { describe, expect, it } from 'vitest';
import { createCodec } from '@sluice/fec';
import { Random } from '../../testkit/src/random.ts';
import { KINDS, SYMBOLS } from './samples.ts';

const ALL = Uint8Array.from({ length: SYMBOLS }, (_, esi) => esi);

/** Every encoding symbol of a random block. */
function encodeAll(seed: number, k: number, symbolBytes: number): { source: Uint8Array; symbols: Uint8Array } {
  const source = new Random(seed).bytes(k * symbolBytes);
  const symbols = new Uint8Array(SYMBOLS * symbolBytes);
  createCodec().encode(source, k, symbolBytes, ALL, symbols);
  return { source, symbols };
}

/** Puts the symbols of `esis` where `recover` wants them: source symbols in their slots, the others in those left. */
function place(esis: readonly number[], symbols: Uint8Array, symbolBytes: number): [Uint8Array, Uint8Array] {
  const k = esis.length;
  const held = new Uint8Array(k).fill(255);
  for (const esi of esis) if (esi < k) held[esi] = esi;
  for (const esi of esis) if (esi >= k) held[held.indexOf(255)] = esi;
  const block = new Uint8Array(k * symbolBytes);
  held.forEach((esi, slot) => {
    block.set(symbols.subarray(esi * symbolBytes, (esi + 1) * symbolBytes), slot * symbolBytes);
  });
  return [block, held];
}

/** k of the 255 ESIs, by a shuffle. */
function some(random: Random, k: number): number[] {
  const esis = [...ALL];
  for (let i = 0; i < k; i += 1) {
    const other = i + random.below(SYMBOLS - i);
    [esis[i], esis[other]] = [esis[other]!, esis[i]!];
  }
  return esis.slice(0, k);
}

describe.each(KINDS)('recover, %s', (kind) => {
  const codec = createCodec(kind);

  it.each([1, 2, 3, 17, 64, 127, 128, 200, 249, 250])('from any k of the 255 symbols, k = %i', (k) => {
    const symbolBytes = 21;
    const { source, symbols } = encodeAll(k, k, symbolBytes);
    const random = new Random(k);
    for (let turn = 0; turn < 25; turn += 1) {
      const [block, esis] = place(some(random, k), symbols, symbolBytes);
      expect(codec.recover(block, k, symbolBytes, esis)).toBe(true);
      expect(Buffer.compare(block, source), `ESIs ${esis.join()}`).toBe(0);
    }
  });

  it.each([1, 5, 64, 127])('from repair symbols alone, the last ones too, k = %i', (k) => {
    const { source, symbols } = encodeAll(k, k, 5);
    for (const first of [k, SYMBOLS - k]) {
      const esis = Uint8Array.from({ length: k }, (_, i) => first + i);
      const [block] = place([...esis], symbols, 5);
      expect(codec.recover(block, k, 5, esis)).toBe(true);
      expect(block).toEqual(source);
    }
  });

  it('from each pair of the 255 symbols of a block of two', () => {
    const { source, symbols } = encodeAll(2, 2, 1);
    const wrong: string[] = [];
    for (let a = 0; a < SYMBOLS; a += 1) {
      for (let b = a + 1; b < SYMBOLS; b += 1) {
        const [block, esis] = place([b, a], symbols, 1);
        if (!codec.recover(block, 2, 1, esis) || Buffer.compare(block, source) !== 0) wrong.push(`${a} and ${b}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('leaves a block alone that has all its source symbols', () => {
    const source = new Random(1).bytes(30 * 7);
    const block = source.slice();
    expect(codec.recover(block, 30, 7, ALL.subarray(0, 30))).toBe(true);
    expect(block).toEqual(source);
  });

  it.each([
    ['an ESI twice', [0, 1, 9, 9]],
    ['a repair ESI three times', [7, 1, 7, 7]],
    ['ESI 255', [0, 1, 2, 255]],
    ['a source symbol in another slot', [1, 0, 2, 3]],
    ['a source symbol in a slot where a repair symbol may be', [0, 3, 9, 3]],
    ['a source symbol in the wrong slot only', [0, 1, 3, 9]],
    ['one too few', [0, 1, 2]],
    ['one too many', [0, 1, 2, 3, 4]],
    ['none', []],
  ])('refuses %s, and changes nothing', (_what, esis) => {
    const block = new Random(2).bytes(4 * 33);
    const before = block.slice();
    expect(codec.recover(block, 4, 33, Uint8Array.from(esis))).toBe(false);
    expect(block).toEqual(before);
  });
});

describe('a caller that is wrong about a block', () => {
  const codec = createCodec();
  const esis = ALL.subarray(0, 4);

  it.each([0, -1, 1.5, 251, Number.NaN])('is told of k = %d', (k) => {
    const bytes = new Uint8Array(251 * 8);
    expect(() => codec.encode(bytes, k, 8, [254], new Uint8Array(8))).toThrow(/source symbols of a block is/);
    expect(() => codec.recover(bytes, k, 8, esis)).toThrow(/must be a whole number from 1 to 250/);
  });

  it.each([0, -1, 2.5, 65536])('is told of symbols of %d bytes', (symbolBytes) => {
    const bytes = new Uint8Array(4 * 65536);
    expect(() => codec.encode(bytes, 4, symbolBytes, [4], bytes)).toThrow(/symbol length is/);
    expect(() => codec.recover(bytes, 4, symbolBytes, esis)).toThrow(/must be a whole number from 1 to 65535/);
  });

  it.each([255, 256, -1, 0.5])('is told of ESI %d', (esi) => {
    expect(() => codec.encode(new Uint8Array(32), 4, 8, [5, esi], new Uint8Array(16))).toThrow(/encoding symbol ID is/);
  });

  it('is told of buffers that are too short', () => {
    expect(() => codec.encode(new Uint8Array(31), 4, 8, [5], new Uint8Array(8))).toThrow(/31 bytes are not a block/);
    expect(() => codec.recover(new Uint8Array(31), 4, 8, esis)).toThrow(/31 bytes are not a block of 4 symbols/);
    expect(() => codec.encode(new Uint8Array(32), 4, 8, [5, 6], new Uint8Array(15))).toThrow(/do not hold 2 symbols/);
  });
});
