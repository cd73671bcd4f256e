// Codecs that others wrote make the same repair symbols, byte for byte.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createCodec } from '@sluice/fec';
import { Random } from '../../testkit/src/random.ts';
import { readVectors, SYMBOLS } from './samples.ts';

/** Debian's, which is the one that Debian's modules are for. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('reference.py', import.meta.url));
const REFERENCES = [
  { name: 'zfec', debian: 'python3-zfec', probe: 'import zfec' },
  { name: 'norm', debian: 'libnorm1', probe: 'import ctypes; ctypes.CDLL("libnorm.so.1")' },
];
const SHAPES: readonly (readonly [k: number, m: number])[] = [
  [1, 1],
  [64, 8],
  [200, 20],
  [200, 55],
];

const codec = createCodec();

function reference(name: string, k: number, m: number, source: Uint8Array): Uint8Array {
  const input = JSON.stringify({ k, m, symbol: source.length / k, source: source.toBase64() });
  const { status, stdout, stderr } = spawnSync(PYTHON, [SCRIPT, name], { input, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return Uint8Array.fromBase64(stdout.trim());
}

function ours(k: number, m: number, source: Uint8Array): Uint8Array {
  const symbolBytes = source.length / k;
  const out = new Uint8Array(m * symbolBytes);
  const esis = Array.from({ length: m }, (_, i) => k + i);
  codec.encode(source, k, symbolBytes, esis, out);
  return out;
}

describe.each(REFERENCES)('$name', ({ name, debian, probe }) => {
  const missing = spawnSync(PYTHON, ['-c', probe]).status !== 0;
  const reason = `${debian} is missing: apt-get install ${debian}`;

  it.for(SHAPES)('makes the same repair symbols of random data: k = %i, m = %i', ([k, m], { skip }) => {
    skip(missing, reason);
    const random = new Random(k * 256 + m);
    for (const symbolBytes of [1408, 77]) {
      const source = random.bytes(k * symbolBytes);
      expect(reference(name, k, m, source).toHex()).toBe(ours(k, m, source).toHex());
    }
  });

  it('makes the symbol of the last ESI, 254', ({ skip }) => {
    skip(missing, reason);
    const k = 200;
    const source = new Random(254).bytes(k * 16);
    const symbols = reference(name, k, SYMBOLS - k, source);
    const last = new Uint8Array(16);
    codec.encode(source, k, 16, [254], last);
    expect(symbols.subarray(-16).toHex()).toBe(last.toHex());
  });

  it('makes the symbols of the vectors', ({ skip }) => {
    skip(missing, reason);
    for (const vector of readVectors().filter(({ verdict }) => verdict === 'same')) {
      const { k, symbolBytes, esis, source, symbols } = vector;
      // Debian's zfec and libnorm make the matrix for k + m symbols of which all are asked for.
      const m = Math.max(...esis) + 1 - k;
      const made = Uint8Array.of(...source, ...reference(name, k, m, source));
      esis.forEach((esi, i) => {
        const expected = symbols.subarray(i * symbolBytes, (i + 1) * symbolBytes);
        expect(made.subarray(esi * symbolBytes, (esi + 1) * symbolBytes), vector.name).toEqual(expected);
      });
    }
  });
});
