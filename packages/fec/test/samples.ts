import { readdirSync, readFileSync } from 'node:fs';
import type { CodecKind } from '@sluice/fec';

export const KINDS: readonly CodecKind[] = ['relaxed-simd', 'simd', 'scalar'];
/** Encoding symbols of a block (docs/PROTOCOL.md L-5). */
export const SYMBOLS = 255;

const DIRECTORY = new URL('../../../test/vectors/fec/', import.meta.url);

export interface Vector {
  readonly name: string;
  /** `same`: what the codec gives; `differs`: what it does not give. */
  readonly verdict: string;
  readonly k: number;
  readonly symbolBytes: number;
  readonly esis: readonly number[];
  readonly source: Uint8Array;
  /** The symbols of `esis`, end to end. */
  readonly symbols: Uint8Array;
}

/** First line: `# ` and the verdict. Lines `# k`, `# symbol-bytes`, `# esis` and `# source` say what is encoded; the rest are its symbols. */
function read(name: string): Vector {
  const lines = readFileSync(new URL(name, DIRECTORY), 'utf8').split('\n');
  const field = (label: string): string => {
    const line = lines.find((each) => each.startsWith(`# ${label} `));
    if (line === undefined) throw new Error(`${name} has no line # ${label}`);
    return line.slice(label.length + 3);
  };
  return {
    name,
    verdict: lines[0]?.slice(2) ?? '',
    k: Number(field('k')),
    symbolBytes: Number(field('symbol-bytes')),
    esis: field('esis').split(' ').map(Number),
    source: Uint8Array.fromHex(field('source')),
    symbols: Uint8Array.fromHex(lines.filter((line) => !line.startsWith('#')).join('')),
  };
}

export const readVectors = (): Vector[] => readdirSync(DIRECTORY).map(read);

/** A product in GF(2^8) over 0x11D, bit by bit. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ (product & 128 ? 0x11d : 0);
    if (b & (1 << bit)) product ^= a;
  }
  return product;
}

const PRODUCTS = Uint8Array.from({ length: 65536 }, (_, i) => multiply(i >> 8, i & 255));
export const times = (a: number, b: number): number => PRODUCTS[a * 256 + b] ?? 0;

/** alpha^i for i from 0 to 254: the points that the formula of RFC 5510 section 8.2.1 takes. */
export const POWERS = Uint8Array.from({ length: SYMBOLS });
POWERS.forEach((_, i) => {
  POWERS[i] = i === 0 ? 1 : times(POWERS[i - 1] ?? 0, 2);
});
/** 0, 1, alpha, alpha^2, ...: Rizzo's points (F-2). */
export const RIZZO = Uint8Array.of(0, ...POWERS.subarray(0, SYMBOLS - 1));

const inverse = (a: number): number => POWERS.find((b) => times(a, b) === 1) ?? 0;

/**
 * The coefficients by which k source symbols make the symbols of `esis`, by the book: the Vandermonde matrix at `points`
 * (row i holds the powers 0 to k - 1 of point i) times the inverse of its first k rows. Slow, and nothing of the codec's.
 */
export function systematic(points: Uint8Array, k: number, esis: Iterable<number>): Uint8Array[] {
  const powers = (point: number): Uint8Array => {
    const row = new Uint8Array(k).fill(1);
    for (let j = 1; j < k; j += 1) row[j] = times(row[j - 1] ?? 0, point);
    return row;
  };
  const inverted = invert(Array.from(points.subarray(0, k), powers));
  return Array.from(esis, (esi) => {
    const row = new Uint8Array(k);
    powers(points[esi] ?? 0).forEach((factor, i) => {
      addTimes(row, inverted[i] ?? row, factor);
    });
    return row;
  });
}

function addTimes(to: Uint8Array, from: Uint8Array, factor: number): void {
  if (factor === 0) return;
  for (let i = 0; i < to.length; i += 1) to[i] = (to[i] ?? 0) ^ times(from[i] ?? 0, factor);
}

/** Gauss and Jordan. */
function invert(matrix: readonly Uint8Array[]): Uint8Array[] {
  const k = matrix.length;
  const rows = matrix.map((row, i) => {
    const wide = new Uint8Array(2 * k);
    wide.set(row);
    wide[k + i] = 1;
    return wide;
  });
  for (let column = 0; column < k; column += 1) {
    const at = rows.findIndex((row, i) => i >= column && row[column] !== 0);
    const pivot = rows[at];
    const first = rows[column];
    if (pivot === undefined || first === undefined) throw new Error('a matrix without an inverse');
    [rows[at], rows[column]] = [first, pivot];
    const scale = inverse(pivot[column] ?? 0);
    pivot.forEach((value, i) => (pivot[i] = times(value, scale)));
    for (const row of rows) if (row !== pivot) addTimes(row, pivot, row[column] ?? 0);
  }
  return rows.map((row) => row.slice(k));
}

/** k symbols of k bytes: symbol j is 1 at byte j and 0 elsewhere, so its encoding spells the coefficients. */
export function unit(k: number): Uint8Array {
  const symbols = new Uint8Array(k * k);
  for (let j = 0; j < k; j += 1) symbols[j * k + j] = 1;
  return symbols;
}
