// WebAssembly and the plain reference beside it give the same bytes, and the one steps in for the other.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ArenaCodec, createCodec } from '@sluice/fec';
import { Arena } from '@sluice/wasm';
import { Random } from '../../testkit/src/random.ts';
import { RELAXED_SIMD_KERNEL } from '../src/kernel.wasm.ts';
import { KINDS, SYMBOLS } from './samples.ts';

/** Lengths around the kernel's step of 32 bytes. */
const EDGES = [1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 95, 97, 1408];
/** Room for the largest block and all that is made of it. */
const CANVAS_BYTES = 96 * 1024;
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

interface Canvas {
  readonly canvas: Uint8Array;
  readonly start: number;
  readonly k: number;
  readonly symbolBytes: number;
  readonly stride: number;
  readonly source: readonly Uint8Array[];
}

/** Loses some of the source symbols at the start of the canvas and has them made again from repair symbols in their slots. */
function recoverInPlace(codec: ArenaCodec, random: Random, on: Canvas): void {
  const { canvas, start, k, symbolBytes, stride, source } = on;
  const lost = pick(random, random.below(1 + Math.min(k, SYMBOLS - k, 9)), k);
  const repair = pick(random, lost.length, SYMBOLS - k);
  const esis = Uint8Array.from({ length: k }, (_, i) => i);
  const spare = k * stride;
  const want = canvas.slice();
  lost.forEach((slot, i) => {
    esis[slot] = k + (repair[i] ?? 0);
    const symbol = new Uint8Array(symbolBytes);
    scalar.encode(Buffer.concat(source), k, symbolBytes, [k + (repair[i] ?? 0)], symbol);
    canvas.set(symbol, slot * stride);
  });
  expect(codec.recoverAt(start, k, symbolBytes, stride, esis, start + spare)).toBe(true);
  // The spare room is the codec's to use.
  const end = spare + lost.length * stride;
  expect(Buffer.compare(canvas.subarray(0, spare), want.subarray(0, spare)), `k ${k}, ESIs ${esis.join()}`).toBe(0);
  expect(Buffer.compare(canvas.subarray(end), want.subarray(end))).toBe(0);
}

describe.each(['relaxed-simd', 'simd'] as const)('%s', (kind) => {
  // One codec over all shapes: its memory and its tables stay.
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

describe.each(KINDS)('in an arena, %s', (kind) => {
  it('makes and recovers symbols where they lie in an arena, and touches nothing else there', () => {
    const random = new Random(77);
    const arena = Arena.create(2 ** 20);
    const inPlace = new ArenaCodec(arena, kind);
    const start = arena.take(CANVAS_BYTES);
    const canvas = arena.view(start, CANVAS_BYTES);
    canvas.set(random.bytes(CANVAS_BYTES));
    for (let turn = 0; turn < 60; turn += 1) {
      const k = 1 + random.below(random.chance(0.3) ? 250 : 40);
      const symbolBytes = 32 * (1 + random.below(8));
      const stride = symbolBytes + 16 * random.below(4);
      const esis = Uint8Array.from(pick(random, 1 + random.below(12)));
      canvas.set(random.bytes(k * stride));
      const source = Array.from({ length: k }, (_, j) => canvas.slice(j * stride, j * stride + symbolBytes));
      const outs = Array.from(esis, (_, i) => k * stride + 8 + i * (symbolBytes + 24));
      const want = canvas.slice();
      esis.forEach((esi, i) => {
        const symbol = new Uint8Array(symbolBytes);
        scalar.encode(Buffer.concat(source), k, symbolBytes, [esi], symbol);
        if (esi >= k) want.set(symbol, outs[i]);
      });
      const addresses = outs.map((at) => start + at);
      // The second time by the list that it knows.
      inPlace.encodeAt(start, k, symbolBytes, stride, esis, addresses);
      inPlace.encodeAt(start, k, symbolBytes, stride, esis, addresses);
      expect(Buffer.compare(canvas, want), `turn ${turn}: k ${k}, E ${symbolBytes}, ESIs ${esis.join()}`).toBe(0);
      recoverInPlace(inPlace, random, { canvas, start, k, symbolBytes, stride, source });
    }
  });

  it('takes one list of ESIs for blocks of several lengths', () => {
    const arena = Arena.create(2 ** 20);
    const inPlace = new ArenaCodec(arena, kind);
    const at = arena.take(64 * 100);
    const esis = Uint8Array.of(4, 9, 30);
    for (const k of [4, 9, 31, 4, 5]) {
      const source = new Random(k).bytes(k * 64);
      const want = new Uint8Array(3 * 64);
      scalar.encode(source, k, 64, esis, want);
      arena.bytes.set(source, at);
      const outs = Array.from(esis, (esi, i) => at + (esi < k ? esi : 50 + i) * 64);
      inPlace.encodeAt(at, k, 64, 64, esis, outs);
      expect(Buffer.concat(outs.map((out) => arena.view(out, 64))).compare(want), `k ${k}`).toBe(0);
    }
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
    for (const kind of ['wasm', 'relaxed-simd', 'simd'] as const)
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
