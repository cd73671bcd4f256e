// The ceiling in Ethernet bytes (docs/PROTOCOL.md I-2).
import { HEADER_BYTES } from '@sluice/alc';
import { ethernetBytes, Pacer } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { Random } from '../../testkit/src/index.ts';
import { Air, type Flight, MS, SECOND } from './air.ts';

/** By how much link time the departures exceed, in the worst stretch of time, what its length and the burst allow. */
function excess(flights: readonly Flight[], rate: number): number {
  const each = (ethernetBytes(flights[0]!.bytes.length) * 8 * SECOND) / rate;
  // The stretch from departure i to departure j holds j - i + 1: j * each - t[j] - (i * each - t[i]) + each over its length.
  let least = Infinity;
  let most = -Infinity;
  flights.forEach(({ at }, j) => {
    least = Math.min(least, j * each - at);
    most = Math.max(most, j * each - at - least + each);
  });
  return most - Math.max(MS, each);
}

/** Beyond what floating point adds to sums of nanoseconds. */
const ROUNDING = 1;

describe('the ceiling', () => {
  it('counts preamble, header, FCS and gap, and the headers of IP and UDP', () => {
    // 8 + 14 + 4 + 12 on Ethernet, 20 + 8 on top: 1518 bytes for a datagram of 1452.
    expect(ethernetBytes(1452)).toBe(1518);
    expect(ethernetBytes(0)).toBe(66);
  });

  it.each([1e5, 1e6, 3e6, 2e7, 1e8, 1e9, 5e9])(
    'of %d bit/s holds in any stretch of time, however late the sender is',
    (rate) => {
      const random = new Random(rate);
      // Mostly in time, at times late by up to 5 ms.
      const late = (): number => (random.chance(0.1) ? random.unit() * 5 * MS : random.unit() * 0.01 * MS);
      const air = new Air({ rate, late });
      const many = Array.from({ length: 200 }, () => 1 + random.below(2000));
      air.machine.submit(air.order([...many, 90_000]));
      const flights: Flight[] = [];
      for (let beats = 0; beats < 8; beats += 1) {
        air.heartbeat(beats % 2);
        const until = air.now + 100 * MS;
        flights.push(...air.run(({ at }) => at > until));
      }
      const until = air.now + 5 * SECOND;
      flights.push(...air.run(({ at }) => at > until));
      expect(flights.length).toBeGreaterThan(50);
      expect(excess(flights, rate)).toBeLessThan(ROUNDING);
    },
  );

  it('holds for a long FDT Instance, which is many datagrams long', () => {
    const rate = 1e7;
    const air = new Air({ rate });
    air.machine.submit(air.order(Array.from({ length: 320 }, () => 300)));
    const flights = air.run();
    const longest = Math.max(...flights.map(({ fdt }) => fdt?.transferLength ?? 0));
    expect(longest).toBeGreaterThan(50_000);
    expect(excess(flights, rate)).toBeLessThan(ROUNDING);
  });

  it('is reached: a large object takes hardly longer than its bytes', () => {
    const rate = 5e7;
    const air = new Air({ rate, outageMs: 5 });
    air.machine.submit({ ...air.order([3_000_000]), statements: [] });
    const flights = air.run();
    const link = (flights.length * ethernetBytes(HEADER_BYTES + 256) * 8) / rate;
    const lead = 0.25;
    expect((flights.at(-1)!.at - 5 * SECOND) / SECOND - lead).toBeLessThan(link * 1.03);
  });
});

describe('the pacer', () => {
  const pacer = (): Pacer => new Pacer(1e8, 1452);

  it('gives each datagram its link time', () => {
    expect(pacer().datagramNs).toBe(121_440);
    expect(new Pacer(Infinity, 1452).datagramNs).toBe(0);
    for (const rate of [0, -1, Number.NaN]) expect(() => new Pacer(rate, 1452)).toThrow(/rate must be positive/);
  });

  it('lets a quarter of a millisecond leave together, 80 datagrams at most and one at least', () => {
    expect(pacer().batch(121_440)).toBe(2);
    expect(pacer().batch(10)).toBe(80);
    expect(pacer().batch(0)).toBe(80);
    expect(pacer().batch(2 * MS)).toBe(1);
  });

  it('lets a late sender catch up by three quarters of a millisecond, and counts the rest as stalled', () => {
    const one = pacer();
    expect(one.earliest(SECOND)).toBe(SECOND);
    one.take(SECOND, 4, one.datagramNs);
    expect(one.earliest(SECOND)).toBe(SECOND + 485_760);
    expect([one.stalls, one.stalledNs]).toEqual([0, 0]);
    // What was granted last may have left just now, and takes its link time from here on.
    expect(one.earliest(SECOND + 10 * MS)).toBe(SECOND + 9.25 * MS + 485_760);
    expect([one.stalls, one.stalledNs]).toEqual([1, 9.25 * MS]);
  });

  it('lets nobody catch up where one datagram takes more than a millisecond', () => {
    const slow = new Pacer(1e7, 1452);
    slow.take(slow.earliest(SECOND), 1, slow.datagramNs);
    expect(slow.earliest(SECOND + 2 * MS)).toBe(SECOND + 2 * MS + slow.datagramNs);
    expect(slow.stalls).toBe(1);
  });

  it('counts no stall over a rest, and gives no catch-up for it', () => {
    const one = pacer();
    one.take(one.earliest(SECOND), 1, one.datagramNs);
    one.rest();
    expect(one.earliest(9 * SECOND)).toBe(9 * SECOND);
    one.rest();
    expect(one.earliest(9 * SECOND - 1)).toBe(9 * SECOND);
    expect([one.stalls, one.stalledNs]).toEqual([0, 0]);
  });

  it('takes more airtime than the rate asks for when told to, never less', () => {
    const one = pacer();
    one.take(one.earliest(0), 3, MS);
    expect(one.earliest(0)).toBe(3 * MS);
    one.take(3 * MS, 2, 1);
    expect(one.earliest(0)).toBe(3 * MS + 242_880);
  });
});
