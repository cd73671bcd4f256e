// Several keys in one session (docs/PROTOCOL.md ): counted by key, ended one by one.
import { describe, expect, it } from 'vitest';
import { Air } from './air.ts';
import { Bench, WAYS } from './bench.ts';

describe.each(WAYS)('a key that is ended, %s,', (way) => {
  it('brings nothing from then on and is counted, while the other goes on', () => {
    const bench = new Bench({ way });
    const [mine, theirs] = [bench.object(3000), bench.object(2500)];
    bench.announce([mine]);
    const symbols = bench.symbols(mine);
    expect(bench.sendAll(symbols.slice(0, 4)).every((verdict) => verdict === 'accepted')).toBe(true);
    const before = [...bench.machine.counters.authentic];
    expect(before[0]).toBeGreaterThan(4);
    expect(before[1]).toBe(0);

    bench.machine.endKey(0);
    expect(new Set(bench.sendAll(symbols.slice(4)))).toEqual(new Set(['key-ended']));
    expect(bench.arrived(mine)).toBe(false);
    bench.announce([theirs], { asid: 1 });
    bench.sendAll(bench.symbols(theirs, { asid: 1 }));
    expect(bench.arrived(theirs)).toBe(true);
    const { authentic, verdicts } = bench.machine.counters;
    expect(authentic[0]).toBe(before[0]);
    expect(verdicts.get('key-ended')).toBe(symbols.length - 4);
    // Every authentic datagram was counted once, under its key.
    const all = [...verdicts].filter(([verdict]) => verdict === 'accepted' || verdict === 'surplus');
    expect(authentic[0]! + authentic[1]!).toBe(all.reduce((sum, [, count]) => sum + count, 0));
  });
});

describe('a sender that changes its key', () => {
  it('ends the pass on air as it began, and sends what waits with the other key, in the next session', () => {
    const air = new Air();
    air.machine.submit(air.order([30_000]));
    air.machine.submit(air.order([20_000], { bundle: 'c' }));
    air.run(({ toi }) => toi > 2);
    air.machine.rekey(0, 1);
    air.machine.roll(1001);
    const rest = air.run();
    expect(new Set(air.flights.map(({ tsi, asid }) => `${tsi}/${asid}`))).toEqual(new Set(['1000/0', '1001/1']));
    expect(rest.findIndex(({ asid }) => asid === 1)).toBeGreaterThan(0);
    expect(rest.slice(rest.findIndex(({ asid }) => asid === 1)).every(({ tsi }) => tsi === 1001)).toBe(true);
    expect(air.events.filter(({ type }) => type === 'pass-done')).toHaveLength(2);
  });
});
