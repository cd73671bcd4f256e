// Order on the fibre (docs/PROTOCOL.md I-1): what one outage may take from a block.
import { HEADER_BYTES } from '@sluice/alc';
import { blockLength, type FecProfile, makeProfile, partition, PROFILES, repairCount } from '@sluice/fec';
import { describe, expect, it } from 'vitest';
import { Random } from '../../testkit/src/index.ts';
import { interleave } from '../src/send/order.ts';
import { Air, MS, mostWithin } from './air.ts';

describe('interleave', () => {
  const shapes = [
    [4],
    [220, 220, 220],
    [220, 219, 219],
    [4, 8, 220, 13, 1],
    [1, 1, 1, 255],
    new Array<number>(300).fill(72),
  ];
  const random = new Random(1);
  for (let i = 0; i < 40; i += 1) {
    shapes.push(Array.from({ length: 1 + random.below(60) }, () => 1 + random.below(255)));
  }

  it('gives each symbol a slot, all slots from 0 on, those of a block ascending', () => {
    for (const counts of shapes) {
      const order = interleave(counts);
      expect(order.map((slots) => slots.length)).toEqual(counts);
      const all = order.flatMap((slots) => [...slots]).sort((a, b) => a - b);
      expect(all).toEqual(all.map((_, i) => i));
      for (const slots of order) expect([...slots]).toEqual([...slots].sort((a, b) => a - b));
    }
  });

  it('spreads each block over the whole group', () => {
    const astray: string[] = [];
    for (const counts of shapes) {
      const total = counts.reduce((sum, n) => sum + n, 0);
      interleave(counts).forEach((slots, block) => {
        // Within its own share of the group, give or take a symbol of each other block.
        const ideal = total / slots.length;
        const far = slots.findIndex((slot, j) => Math.abs(slot - (j + 0.5) * ideal) > ideal / 2 + counts.length);
        if (far >= 0) astray.push(`symbol ${far} of block ${block} of ${counts.join()}`);
      });
    }
    expect(astray).toEqual([]);
  });
});

/** Departures of each block of a pass, with its k and m. */
function departures(air: Air, sizes: readonly number[], profile: FecProfile) {
  const order = air.order(sizes);
  air.machine.submit(order);
  const sent = [...order.statements, ...order.statements, ...order.objects, ...order.statements];
  const blocks = new Map<string, { readonly k: number; readonly m: number; readonly times: number[] }>();
  for (const { toi, sbn, at } of air.run()) {
    const object = sent[toi - 1];
    if (object === undefined) continue;
    const k = blockLength(partition(object.size, 256, profile.maxBlock), sbn);
    const name = `${toi}/${sbn}`;
    const block = blocks.get(name) ?? { k, m: repairCount(k, profile), times: [] };
    block.times.push(at);
    blocks.set(name, block);
  }
  return blocks;
}

describe('an outage', () => {
  const profiles = [
    PROFILES.robust,
    PROFILES.fast,
    makeProfile({ name: 'thin', maxBlock: 20, repair: 2 }),
    makeProfile({ name: 'odd', maxBlock: 33, repair: 7 }),
    makeProfile({ name: 'quarter', maxBlock: 100, ratio: 0.25 }),
  ];
  const bundles = [[], [1], [700], [900, 60, 17_000, 300, 4000], [150_000], [7000, 220_000, 5, 15_000, 52_000]];
  const rates = [5e5, 4e6, 4e7, 1e9];

  it.each(profiles)('takes at most half the repair of any block, profile $name', (profile) => {
    const over: string[] = [];
    for (const rate of rates) {
      for (const outageMs of [1, 20, 100]) {
        for (const sizes of rate < 1e7 ? bundles.slice(0, 4) : bundles) {
          const air = new Air({ seed: sizes.length, rate, outageMs, profile });
          for (const [name, { k, m, times }] of departures(air, sizes, profile)) {
            const lost = mostWithin(times, outageMs * MS);
            if (lost > Math.floor(m / 2))
              over.push(`${rate} b/s, ${outageMs} ms, block ${name} k ${k}: ${lost} of ${m}`);
          }
        }
      }
    }
    expect(over).toEqual([]);
  });

  it('takes at most half the repair when the sender comes up to half a millisecond late', () => {
    const over: string[] = [];
    for (let seed = 1; seed <= 12; seed += 1) {
      const jitter = new Random(seed);
      const late = (): number => jitter.unit() * 0.4 * MS;
      const air = new Air({ seed, rate: [4e6, 4e7, 1e9][seed % 3]!, late });
      for (const [name, { k, m, times }] of departures(air, [900, 60, 90_000, 300], PROFILES.robust)) {
        const lost = mostWithin(times, 20 * MS);
        if (lost > Math.floor(m / 2)) over.push(`seed ${seed}, block ${name} k ${k}: ${lost} of ${m}`);
      }
    }
    expect(over).toEqual([]);
  });

  it('costs no airtime where the blocks are many: a large object leaves at the rate', () => {
    for (const profile of [PROFILES.robust, PROFILES.fast]) {
      const air = new Air({ rate: 1e8, profile, statementLeadMs: 0 });
      air.machine.submit({ ...air.order([3_000_000]), statements: [] });
      const flights = air.run();
      const seconds = (flights.at(-1)!.at - flights[0]!.at) / 1e9;
      const link = (flights.length * (256 + 44 + 28 + 38) * 8) / 1e8;
      // The tail, shorter than a group, is spread as far as one: 2 n / m outages.
      const group = (2 * (profile.maxBlock + profile.repair) * 0.0205) / profile.repair;
      expect(seconds).toBeLessThan(link * 1.01 + group);
    }
  });

  it('is not reckoned with when it is 0: everything leaves at once where the rate is unlimited', () => {
    const air = new Air({ rate: Infinity, outageMs: 0, statementLeadMs: 0 });
    air.machine.submit(air.order([100_000]));
    const flights = air.run();
    expect(flights.length).toBeGreaterThan(400);
    expect(new Set(flights.map(({ at }) => at)).size).toBe(1);
  });

  it('sets no depth where groupBytes does: as many blocks lie in each other as their datagrams fit', () => {
    const n = 220;
    const blocks = 11;
    const air = new Air({ rate: Infinity, groupBytes: (blocks * n + 7) * (256 + HEADER_BYTES) });
    air.machine.submit(air.order([60 * 200 * 256]));
    const symbols = air.run().filter(({ toi }) => toi === 5);
    const sbns = symbols.map(({ sbn }) => sbn);
    expect(sbns).toHaveLength(60 * n);
    // Full groups are not spread over time: memory is the limit, not the outage.
    expect(new Set(symbols.slice(0, 5 * blocks * n).map(({ at }) => at)).size).toBe(1);
    for (let first = 0; first < 60; first += blocks) {
      const group = new Set(sbns.slice(first * n, (first + blocks) * n));
      const want = Array.from({ length: Math.min(blocks, 60 - first) }, (_, i) => first + i);
      expect([...group]).toEqual(want);
    }
  });
});
