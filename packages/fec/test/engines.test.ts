// WebAssembly and the plain reference beside it give the same bytes, and the one steps in for the other.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createCodec } from '@sluice/fec';
import { Random } from '../../testkit/src/random.ts';
import { RELAXED_SIMD_KERNEL } from '../src/kernel.wasm.ts';
import { ScalarEngine } from '../src/scalar.ts';
import { openWasmEngine } from '../src/wasm.ts';
import { SYMBOLS } from './samples.ts';

const SIMD_KINDS = ['relaxed-simd', 'simd'] as const;
/** Lengths around the kernel's step of 32 bytes. */
const EDGES = [1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 95, 97, 1408];
const scalar = createCodec('scalar');

function shapeOf(random: Random): { k: number; symbolBytes: number; block: Uint8Array } {
  const k = random.chance(0.2) ? 1 + random.below(4) : 1 + random.below(250);
  const symbolBytes = random.chance(0.5) ? EDGES[random.below(EDGES.length)]! : 1 + random.below(700);
  // Anywhere in its buffer, since blocks are slices of larger ones.
  const block = random.bytes(k * symbolBytes + 19).subarray(random.below(16));
  return { k, symbolBytes, block };
}

/** `count` of the numbers below `limit`, in random order. */
function pick(random: Random, count: number, limit = SYMBOLS): number[] {
  const all = Array.from({ length: limit }, (_, i) => i);
  for (let i = 0; i < count; i += 1) {
    const other = i + random.below(limit - i);
    [all[i], all[other]] = [all[other]!, all[i]!];
  }
  return all.slice(0, count);
}

describe.each(SIMD_KINDS)('%s', (kind) => {
  // One codec over all shapes: its memory grows and its tables stay.
  const codec = createCodec(kind);

  it('is what it was asked to be', () => {
    expect(codec.kind).toBe(kind);
  });

  it('encodes as scalar does: 200 random shapes, any ESIs in any order', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = new Random(seed);
      const { k, symbolBytes, block } = shapeOf(random);
      const esis = pick(random, random.below(random.chance(0.1) ? SYMBOLS + 1 : 24));
      const before = block.slice();
      const want = new Uint8Array(esis.length * symbolBytes + 40).fill(0x5a);
      const got = want.slice();
      scalar.encode(block, k, symbolBytes, esis, want);
      codec.encode(block, k, symbolBytes, esis, got);
      const message = `seed ${seed}: k ${k}, E ${symbolBytes}, ${esis.length} symbols`;
      expect(Buffer.compare(got, want), message).toBe(0);
      expect(got.subarray(-40).every((byte) => byte === 0x5a)).toBe(true);
      expect(Buffer.compare(block, before), message).toBe(0);
    }
  });

  it('recovers as scalar does: 200 random shapes', () => {
    for (let seed = 1001; seed <= 1200; seed += 1) {
      const random = new Random(seed);
      const { k, symbolBytes, block } = shapeOf(random);
      const lost = random.below(1 + Math.min(k, SYMBOLS - k, 24));
      const slots = pick(random, lost, k);
      const repair = pick(random, lost, SYMBOLS - k);
      const esis = Uint8Array.from({ length: k }, (_, i) => i);
      slots.forEach((slot, i) => (esis[slot] = k + repair[i]!));
      const want = block.slice();
      const got = block.slice();
      expect(scalar.recover(want, k, symbolBytes, esis)).toBe(true);
      expect(codec.recover(got, k, symbolBytes, esis)).toBe(true);
      expect(Buffer.compare(got, want), `seed ${seed}: k ${k}, E ${symbolBytes}, ${lost} lost`).toBe(0);
    }
  });

  it('multiplies into the symbols themselves: every row sees them as they were', () => {
    const engine = openWasmEngine(kind)!;
    const plain = new ScalarEngine();
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = new Random(seed);
      const { k, symbolBytes, block } = shapeOf(random);
      const rows = Array.from({ length: 1 + random.below(Math.min(k, 9)) }, () => random.bytes(k));
      // Rows of zeros and ones too, which the tables treat as any other.
      rows[0]?.fill(seed % 2);
      const slots = pick(random, rows.length, k);
      const [apart, want, got] = [block.slice(), block.slice(), block.slice()];
      plain.multiply(rows, block, symbolBytes, apart, slots);
      plain.multiply(rows, want, symbolBytes, want, slots);
      engine.multiply(rows, got, symbolBytes, got, slots);
      expect(Buffer.compare(want, apart), `scalar, seed ${seed}`).toBe(0);
      expect(Buffer.compare(got, want), `seed ${seed}`).toBe(0);
    }
  });

  it('keeps nothing of a longer block that came before', () => {
    const random = new Random(7);
    const fresh = createCodec(kind);
    const long = random.bytes(250 * 2000);
    codec.encode(long, 250, 2000, [250, 251, 252, 253, 254], new Uint8Array(5 * 2000));
    const short = random.bytes(3 * 20);
    const [after, before] = [new Uint8Array(7 * 20), new Uint8Array(7 * 20)];
    codec.encode(short, 3, 20, [3, 4, 5, 6, 7, 8, 9], after);
    fresh.encode(short, 3, 20, [3, 4, 5, 6, 7, 8, 9], before);
    expect(after).toEqual(before);
  });
});

describe('createCodec', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('takes relaxed SIMD where it can', () => {
    expect(createCodec().kind).toBe('relaxed-simd');
    expect(createCodec('wasm').kind).toBe('relaxed-simd');
  });

  it('takes plain SIMD where the runtime does not validate the relaxed kernel', () => {
    const relaxed = Uint8Array.fromBase64(RELAXED_SIMD_KERNEL);
    const { WebAssembly: host } = globalThis as unknown as { WebAssembly: object };
    const validate = (bytes: Uint8Array): boolean => Buffer.compare(bytes, relaxed) !== 0;
    vi.stubGlobal('WebAssembly', Object.create(host, { validate: { value: validate } }));
    expect(createCodec().kind).toBe('simd');
    expect(createCodec('wasm').kind).toBe('simd');
    expect(() => createCodec('relaxed-simd')).toThrow(/cannot run the relaxed-simd kernel/);
  });

  it('takes scalar where there is no WebAssembly, and says so when it was not to', () => {
    vi.stubGlobal('WebAssembly', undefined);
    const codec = createCodec();
    expect(codec.kind).toBe('scalar');
    const out = new Uint8Array(4);
    codec.encode(Uint8Array.of(1, 8, 15, 22), 4, 1, [4, 5, 6, 7], out);
    expect([...out]).toEqual([252, 38, 89, 124]);
    for (const kind of ['wasm', ...SIMD_KINDS] as const)
      expect(() => createCodec(kind)).toThrow(`cannot run the ${kind} kernel; ask for the codec kind auto`);
  });

  it('takes scalar on a processor without SIMD for WebAssembly', () => {
    const index = fileURLToPath(new URL('../src/index.ts', import.meta.url));
    const program = `const { createCodec } = await import(${JSON.stringify(index)});
      const out = new Uint8Array(4);
      createCodec().encode(Uint8Array.of(1, 8, 15, 22), 4, 1, [4, 5, 6, 7], out);
      console.log(typeof WebAssembly, createCodec().kind, out.join());`;
    const options = ['--no-enable-sse4-1', '--input-type=module', '--eval', program];
    const { stdout, stderr } = spawnSync(process.execPath, options, { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout).toBe('object scalar 252,38,89,124\n');
  });
});
