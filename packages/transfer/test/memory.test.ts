// Memory for blocks is bounded by blockBytes (docs/PROTOCOL.md section 10), however many objects are open.
import { blockBytes, blockOffset } from '@sluice/fec';
import type { Verdict } from '@sluice/ports';
import { type ObjectInfo, spoolKey, type SpoolPort } from '@sluice/transfer';
import { Arena } from '@sluice/wasm';
import { describe, expect, it } from 'vitest';
import { Random } from '../../testkit/src/index.ts';
import { PAGE_BYTES, SegmentMemory } from '../src/receive/segments.ts';
import { B, Bench, E, type TestObject, WAYS } from './bench.ts';

const LIMIT = 64 * 1024;
/** A block of 10 symbols with its record is a page. */
const BLOCK = B * E;

describe.each(WAYS)('blocks being gathered, %s,', (way) => {
  it('stay within blockBytes while many objects are open; the block begun first is dropped, and counted', () => {
    const bench = new Bench({ way, limits: { blockBytes: LIMIT } });
    const objects = Array.from({ length: 300 }, () => bench.object(BLOCK));
    for (let i = 0; i < objects.length; i += 50) bench.announce(objects.slice(i, i + 50));
    let most = 0;
    for (const object of objects) {
      bench.sendAll(bench.block(object, 0, [0, 1, 2]));
      most = Math.max(most, bench.machine.blockBytes);
    }
    expect(most).toBeLessThanOrEqual(LIMIT);
    expect(most).toBeGreaterThan(LIMIT / 2);
    const open = [...bench.machine.objects()].filter((object) => object.gathering(0) !== undefined);
    expect(bench.machine.counters.evictedSymbols).toBe(3 * (objects.length - open.length));
    // Those begun last are there still.
    const kept = objects.slice(-open.length);
    for (const object of kept) bench.sendAll(bench.block(object, 0, [10, 11, 12, 13, 14, 15, 16]));
    expect(kept.every((object) => bench.arrived(object))).toBe(true);
    expect(bench.machine.blockBytes).toBe(0);
    // The others begin anew.
    for (const object of objects.slice(0, 100)) {
      bench.sendAll(bench.block(object, 0));
      expect(bench.arrived(object)).toBe(true);
    }
  });

  it('that were dropped cost no other block a byte: random symbols of many objects, 4 seeds', () => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const bench = new Bench({ way, seed, limits: { blockBytes: LIMIT / 2 } });
      const random = new Random(seed);
      const objects = Array.from({ length: 40 }, () => bench.object(1 + random.below(8 * BLOCK)));
      bench.announce(objects);
      for (let turn = 0; turn < 1000; turn += 1) {
        const object = objects[random.below(objects.length)]!;
        const sbn = random.below(object.shape.blocks);
        bench.sendAll(bench.block(object, sbn, [random.below(B), random.below(30)]));
        if (bench.machine.blockBytes > LIMIT / 2) expect.unreachable('more than blockBytes');
      }
      expect(bench.machine.counters.evictedSymbols).toBeGreaterThan(0);
      expect(misplaced(bench, objects)).toEqual([]);
      for (const object of objects) bench.sendAll(bench.symbols(object));
      expect(
        objects.every((object) => bench.arrived(object)),
        `seed ${seed}`,
      ).toBe(true);
      expect(bench.machine.blockBytes).toBe(0);
    }
  });

  it('are given back when their object is forgotten', () => {
    const bench = new Bench({ way, limits: { blockBytes: LIMIT } });
    const objects = Array.from({ length: 10 }, () => bench.object(BLOCK));
    bench.announce(objects);
    for (const object of objects) bench.sendAll(bench.block(object, 0, [0, 1]));
    expect(bench.machine.blockBytes).toBeGreaterThan(0);
    for (const { info } of bench.eventsOf('object')) bench.machine.forget('prod', spoolKey(info));
    expect(bench.machine.blockBytes).toBe(0);
    expect([...bench.machine.objects()]).toEqual([]);
    expect(bench.carries()).toBe(true);
  });
});

/** Stored blocks that are not the object's, and bytes where nothing was stored. */
function misplaced(bench: Bench, objects: readonly TestObject[]): string[] {
  const faults: string[] = [];
  for (const { digest, bytes, shape } of objects) {
    const found = [...bench.spool.objects.values()].find(({ info }) => info.digest === digest)!;
    for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
      const from = blockOffset(shape, sbn);
      const length = blockBytes(shape, sbn);
      const stored = (found.stored[sbn >>> 3]! & (1 << (sbn & 7))) !== 0;
      const want = stored ? bytes.subarray(from, from + length) : new Uint8Array(length);
      if (Buffer.compare(found.bytes.subarray(from, from + length), want) !== 0) faults.push(`${digest} block ${sbn}`);
    }
  }
  return faults;
}

/** A spool that reads blocks later: it keeps what it was given until it is told to let go. */
class SlowSpool implements SpoolPort {
  readonly held: {
    readonly digest: string;
    readonly sbn: number;
    readonly bytes: Uint8Array;
    readonly release: () => void;
  }[] = [];

  open(): { readonly stored: Uint8Array } {
    return { stored: new Uint8Array() };
  }

  block(info: ObjectInfo, sbn: number, _offset: number, bytes: Uint8Array, release: () => void): 'stored' {
    this.held.push({ digest: info.digest, sbn, bytes, release });
    return 'stored';
  }
}

describe.each(WAYS)('blocks that the spool still reads, %s,', (way) => {
  const slow = () => {
    const spool = new SlowSpool();
    return { spool, bench: new Bench({ way, limits: { blockBytes: 4 * PAGE_BYTES }, parts: { spool } }) };
  };

  it('stay as they were until it lets go, and count against blockBytes', () => {
    const { spool, bench } = slow();
    const objects = Array.from({ length: 12 }, () => bench.object(BLOCK));
    bench.announce(objects);
    const verdicts = objects.map((object) =>
      bench.sendAll(bench.block(object, 0, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12])).at(-1),
    );
    expect(verdicts).toEqual([
      ...new Array<Verdict>(4).fill('accepted'),
      ...new Array<Verdict>(8).fill('memory-limit'),
    ]);
    expect(bench.machine.blockBytes).toBe(4 * PAGE_BYTES);
    spool.held.forEach(({ bytes }, i) => {
      expect(Buffer.compare(bytes, objects[i]!.bytes)).toBe(0);
    });
    for (const { release } of spool.held) release();
    expect(bench.machine.blockBytes).toBe(0);
    for (const object of objects.slice(4, 8)) bench.sendAll(bench.block(object, 0));
    expect(spool.held).toHaveLength(8);
  });

  it('are no reason to drop others, which would give nothing back', () => {
    const { spool, bench } = slow();
    // Two blocks of one object lie in one segment: the first is held, the second half gathered.
    const object = bench.object(2 * BLOCK);
    const others = Array.from({ length: 6 }, () => bench.object(BLOCK));
    bench.announce([object, ...others]);
    bench.sendAll([...bench.block(object, 0), ...bench.block(object, 1, [0, 1, 2, 3, 4])]);
    for (const other of others) bench.sendAll(bench.block(other, 0));
    bench.sendAll(bench.block(object, 1, [5, 6, 7, 8, 9]));
    expect(bench.machine.counters.evictedSymbols).toBe(0);
    expect(spool.held.filter(({ digest }) => digest === object.digest).map(({ sbn }) => sbn)).toEqual([0, 1]);
    for (const { release } of spool.held) release();
    expect(bench.machine.blockBytes).toBe(0);
  });
});

describe('the memory itself', () => {
  it('hands out pages that are nobody else’s, and takes them back: 20,000 random turns', () => {
    const arena = Arena.create(2 ** 20, true);
    const memory = new SegmentMemory(arena, 40 * PAGE_BYTES - 1);
    expect(memory.limit).toBe(40 * PAGE_BYTES);
    const random = new Random(6);
    const taken: { readonly at: number; readonly pages: number }[] = [];
    const owner = new Map<number, number>();
    let refused = 0;
    for (let turn = 0; turn < 20_000; turn += 1) {
      if (random.chance(0.5)) {
        const bytes = 1 + random.below(6 * PAGE_BYTES);
        const at = memory.take(bytes);
        if (at === undefined) {
          refused += 1;
          continue;
        }
        const pages = Math.ceil(bytes / PAGE_BYTES);
        for (let page = 0; page < pages; page += 1) {
          if (owner.has(at + page * PAGE_BYTES)) expect.unreachable('a page that is taken');
          owner.set(at + page * PAGE_BYTES, turn);
        }
        expect(at % PAGE_BYTES).toBe(0);
        taken.push({ at, pages });
      } else if (taken.length > 0) {
        const [gone] = taken.splice(random.below(taken.length), 1);
        for (let page = 0; page < gone!.pages; page += 1) owner.delete(gone!.at + page * PAGE_BYTES);
        memory.give(gone!.at);
      }
      if (memory.used !== owner.size * PAGE_BYTES || memory.used > memory.limit) expect.unreachable('a wrong sum');
    }
    expect(refused).toBeGreaterThan(100);
    for (const { at } of taken) memory.give(at);
    expect(memory.used).toBe(0);
    expect(memory.take(40 * PAGE_BYTES)).toBeDefined();
    expect(memory.take(1)).toBeUndefined();
  });

  it('finds what is given back that was not taken', () => {
    const memory = new SegmentMemory(Arena.create(2 ** 17, true), PAGE_BYTES);
    const at = memory.take(1)!;
    memory.give(at);
    expect(() => {
      memory.give(at);
    }).toThrow(/not taken/);
  });
});
