// The code itself (docs/PROTOCOL.md F-2): the vectors, and a Vandermonde matrix worked out by the book.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createCodec } from '@sluice/fec';
import { KINDS, POWERS, readVectors, RIZZO, SYMBOLS, systematic, times, unit } from './samples.ts';

const PROTOCOL = readFileSync(new URL('../../../docs/PROTOCOL.md', import.meta.url), 'utf8');
const vectors = readVectors();
const named = (name: string) => vectors.find((vector) => vector.name === name)!;
const hex = (bytes: Uint8Array): string => bytes.toHex();

/** The encoding symbols of a source, with the coefficients of `rows`. */
function combine(rows: readonly Uint8Array[], source: Uint8Array, symbolBytes: number): Uint8Array {
  const out = new Uint8Array(rows.length * symbolBytes);
  rows.forEach((row, r) => {
    row.forEach((coefficient, j) => {
      for (let i = 0; i < symbolBytes; i += 1)
        out[r * symbolBytes + i]! ^= times(coefficient, source[j * symbolBytes + i]!);
    });
  });
  return out;
}

describe.each(KINDS)('vectors, %s', (kind) => {
  const codec = createCodec(kind);

  it.each(vectors)('$name: $verdict', ({ verdict, k, symbolBytes, esis, source, symbols }) => {
    expect(symbols).toHaveLength(esis.length * symbolBytes);
    const out = new Uint8Array(symbols.length);
    codec.encode(source, k, symbolBytes, esis, out);
    if (verdict === 'same') expect(hex(out)).toBe(hex(symbols));
    else expect(hex(out)).not.toBe(hex(symbols));
  });
});

describe('the vectors', () => {
  it('are all there', () => {
    expect(vectors.filter(({ verdict }) => verdict === 'same')).toHaveLength(8);
    expect(vectors.filter(({ verdict }) => verdict === 'differs')).toHaveLength(1);
    expect(vectors).toHaveLength(9);
  });

  it('are at the points 0, 1, alpha, ... by the book', () => {
    for (const { name, verdict, k, symbolBytes, esis, source, symbols } of vectors) {
      const made = combine(systematic(RIZZO, k, esis), source, symbolBytes);
      expect(hex(made) === hex(symbols), name).toBe(verdict === 'same');
    }
  });

  it('have the one that the formula of RFC 5510 section 8.2.1 gives, at the points 1, alpha, alpha^2, ...', () => {
    const { k, symbolBytes, esis, source, symbols } = named('k4-m4-rfc5510-formula.hex');
    const made = combine(systematic(POWERS, k, esis), source, symbolBytes);
    expect(hex(made)).toBe(hex(symbols));
  });

  it('are the numbers of deviation D-1', () => {
    const deviation = /^- \*\*D-1\*\* .*$/m.exec(PROTOCOL)?.[0] ?? '';
    const ours = named('k4-m4.hex');
    const formula = named('k4-m4-rfc5510-formula.hex');
    expect(formula.source).toEqual(ours.source);
    expect([...ours.source]).toEqual([1, 8, 15, 22]);
    expect([...ours.symbols]).toEqual([252, 38, 89, 124]);
    expect([...formula.symbols]).toEqual([90, 42, 37, 199]);
    expect(deviation).toContain('RFC 5510 section 8.2.1');
    expect(deviation).toContain('source symbols 1, 8, 15, 22 ours (and zfec');
    expect(deviation).toContain('are 252, 38, 89, 124; the formula');
    expect(deviation).toContain('are 90, 42, 37, 199');
  });
});

describe('the coefficients of every ESI', () => {
  it.each([1, 2, 3, 4, 15, 64, 127, 200, 250])('are those of the systematic Vandermonde matrix, k = %i', (k) => {
    const esis = Uint8Array.from({ length: SYMBOLS }, (_, esi) => esi);
    const rows = systematic(RIZZO, k, esis);
    const out = new Uint8Array(SYMBOLS * k);
    createCodec().encode(unit(k), k, k, esis, out);
    rows.forEach((row, esi) => {
      expect(hex(out.subarray(esi * k, (esi + 1) * k)), `ESI ${esi}`).toBe(hex(row));
    });
  });
});
