import { readEsi, readSn, readToi } from '@sluice/alc';
import { makeProfile } from '@sluice/fec';
import { ethernetBytes } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { CLEAN, digestOf, type LinkFaults, Pair } from '../src/index.ts';

const ROUGH: LinkFaults = { ...CLEAN, loss: 0.03, duplicate: 0.01, reorder: 0.02, reorderDistance: 1000 };
const SIZES = [1, 1408, 1409, 300_000, 2_000_000];

describe('a pair over a simulated link', () => {
  it('carries objects of any size over a clean link, each symbol once', () => {
    const pair = new Pair({ seed: 1, faults: CLEAN });
    const order = pair.order(SIZES);
    pair.sender.submit(order);
    const seen = new Set<string>();
    pair.run((datagram) => {
      const name =
        readToi(datagram, 0) === 0
          ? `fdt ${String(readSn(datagram, 0))}`
          : datagram.subarray(12, 16).join() + datagram.subarray(40, 44).join();
      expect(seen.has(name)).toBe(false);
      seen.add(name);
    });
    expect(pair.arrived(order)).toBe(true);
    expect(pair.receiver.lost).toBe(0);
    expect(pair.receiver.counters.recoveredSymbols).toBe(0);
    expect(pair.receiver.blockBytes).toBe(0);
  });

  it('survives 3 % loss, 1 % duplicates and reordering over 1,000 datagrams in the first pass, 20 seeds', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const pair = new Pair({ seed, faults: ROUGH });
      const order = pair.order(SIZES);
      pair.sender.submit(order);
      pair.run();
      expect(pair.arrived(order), `seed ${String(seed)}`).toBe(true);
      expect(pair.receiver.counters.recoveredSymbols).toBeGreaterThan(0);
      // A datagram lost behind the last one that came is not known to be missing.
      expect(pair.receiver.lost).toBeLessThanOrEqual(pair.link.counts.lost);
      expect(pair.receiver.lost).toBeGreaterThanOrEqual(pair.link.counts.lost - 3);
    }
  });

  it('survives a 20 ms outage in every second, also when the bundle is smaller than one group', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const pair = new Pair({ seed, faults: { ...CLEAN, outageEveryNs: 1e9, outageNs: 20e6 }, rate: 2e8 });
      pair.now = 1e9 + seed * 47e6;
      const order = pair.order(seed % 2 === 0 ? [700] : [5_000_000, 1, 40_000]);
      pair.sender.submit(order);
      pair.run();
      expect(pair.arrived(order), `seed ${String(seed)}`).toBe(true);
    }
  });

  it('what two poor passes bring adds up', () => {
    const pair = new Pair({ seed: 3, faults: { ...CLEAN, loss: 0.35 } });
    const order = pair.order([3_000_000]);
    pair.sender.submit(order);
    pair.run();
    expect(pair.arrived(order)).toBe(false);
    pair.sender.submit({ ...order, pass: 1 });
    pair.run();
    expect(pair.arrived(order)).toBe(true);
  });

  it('repair symbols alone make up for a poor pass, also in a later session, at a fraction of its airtime', () => {
    const pair = new Pair({ seed: 5, faults: { ...CLEAN, loss: 0.15 } });
    const order = pair.order([3_000_000]);
    pair.sender.submit(order);
    pair.run();
    expect(pair.arrived(order)).toBe(false);
    const { sent } = pair.link.counts;
    pair.restartSender(1001);
    for (const pass of [1, 2, 3]) pair.sender.submit({ ...order, pass, kind: 'top-up' });
    pair.run();
    expect(pair.arrived(order)).toBe(true);
    expect(pair.link.counts.sent - sent).toBeLessThan(0.4 * sent);
  });

  it('a later session fills the holes of an earlier one', () => {
    const pair = new Pair({ seed: 4, faults: { ...CLEAN, loss: 0.3 } });
    const order = pair.order([2_000_000]);
    pair.sender.submit(order);
    pair.run();
    expect(pair.arrived(order)).toBe(false);
    pair.restartSender(2000).submit({ ...order, pass: 1 });
    pair.run();
    expect(pair.arrived(order)).toBe(true);
    expect(pair.receiver.highestLive).toBe(2000);
  });

  it('damaged datagrams change nothing but counters', () => {
    const pair = new Pair({ seed: 5, faults: { ...CLEAN, corrupt: 0.02, truncate: 0.01 } });
    const order = pair.order(SIZES);
    pair.sender.submit(order);
    pair.run();
    expect(pair.arrived(order)).toBe(true);
    const { verdicts } = pair.receiver.counters;
    const refused = [...verdicts].filter(([verdict]) => verdict !== 'accepted' && verdict !== 'surplus');
    expect(refused.reduce((sum, [, n]) => sum + n, 0)).toBe(pair.link.counts.corrupted + pair.link.counts.truncated);
    expect(verdicts.get('bad-tag')).toBeGreaterThan(0);
  });

  it('keeps the ceiling: in any second at most the rate and 1 ms of it', () => {
    const rate = 5e7;
    const pair = new Pair({ seed: 6, faults: CLEAN, rate });
    pair.sender.submit(pair.order([12_000_000]));
    const times: number[] = [];
    let size = 0;
    pair.run((datagram, at) => {
      times.push(at);
      size = datagram.length;
    });
    const allowed = (rate * 1.001) / (ethernetBytes(size) * 8) + 1;
    let first = 0;
    times.forEach((time, i) => {
      while ((times[first] ?? 0) <= time - 1e9) first += 1;
      expect(i - first + 1).toBeLessThanOrEqual(allowed);
    });
    expect(times.length).toBeGreaterThan(9000);
  });

  it('a pass sends k + m symbols of consecutive ESIs, modulo 255', () => {
    const pair = new Pair({
      seed: 7,
      faults: CLEAN,
      profile: makeProfile({ name: 'small', maxBlock: 100, repair: 20 }),
    });
    const order = { ...pair.order([1408 * 100]), pass: 2 };
    pair.sender.submit(order);
    const esis: number[] = [];
    pair.run((datagram) => {
      if (readToi(datagram, 0) !== 0 && readToi(datagram, 0) === 3) esis.push(readEsi(datagram, 0));
    });
    expect(esis.length).toBe(120);
    expect(esis).toEqual(Array.from({ length: 120 }, (_, i) => (240 + i) % 255));
    expect(pair.arrived(order)).toBe(true);
  });

  it('a heartbeat comes through, alone and between the groups of a pass', () => {
    const pair = new Pair({ seed: 8, faults: CLEAN });
    const body = new TextEncoder().encode('{"v":1}');
    const beat = (): void => {
      pair.sender.heartbeat(
        0,
        { digest: digestOf(body), size: body.length, contentType: 'application/vnd.sluice.heartbeat+json' },
        body,
      );
    };
    beat();
    pair.run();
    expect(pair.heartbeats.length).toBe(1);
    pair.sender.submit(pair.order([1_000_000]));
    pair.sender.depart(pair.now);
    beat();
    pair.run();
    expect(pair.heartbeats.length).toBe(2);
    expect(pair.heartbeats[1]).toEqual(body);
  });
});
