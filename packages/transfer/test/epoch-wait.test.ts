import { epochAt } from '@sluice/alc';
import { describe, expect, it } from 'vitest';
import { Air, SECOND, WALL } from './air.ts';

/** The epoch that the clock gives when an `Air` begins, at 5 s, and the second in which it does. */
const BEGIN = 5 * SECOND;
const NOW = epochAt(WALL + 5);

const ahead = (air: Air): readonly number[] =>
  air.events.flatMap((event) => (event.type === 'epoch-ahead' ? [event.seconds] : []));

/** The moment at which something leaves first, seconds after the beginning. */
function firstLeaves(air: Air): number {
  air.heartbeat();
  const [first] = air.run();
  return ((first?.at ?? NaN) - BEGIN) / SECOND;
}

describe('a session whose number the clock gave', () => {
  it.each([
    ['a second ago', -1, 0],
    ['in this second', 0, 1],
    ['after another of this second', 1, 2],
    ['after two others of this second', 2, 3],
  ])('%s waits until the second is over', (_, epoch, seconds) => {
    const air = new Air({ tsi: NOW + epoch });
    const left = firstLeaves(air);
    expect(left).toBeGreaterThanOrEqual(seconds);
    expect(left).toBeLessThan(seconds + 0.1);
    expect(ahead(air)).toEqual([]);
  });

  it('late in its second waits for the rest of it alone', () => {
    const air = new Air({ tsi: NOW });
    air.now += 0.9 * SECOND;
    expect(firstLeaves(air)).toBeLessThan(1.1);
  });

  it('waits with its passes too, and sends all of it then', () => {
    const air = new Air({ tsi: NOW });
    air.machine.submit(air.order([2000]));
    const flights = air.run();
    expect(flights[0]?.at).toBeGreaterThanOrEqual(BEGIN + SECOND);
    expect(flights.map(({ sn }) => sn)).toEqual(flights.map((_, i) => i + 1));
    expect(air.machine.stalls.count).toBe(0);
  });

  it('does not wait again when the clock is set back later', () => {
    const air = new Air({ tsi: NOW });
    firstLeaves(air);
    air.wall -= 2;
    const before = air.now;
    air.heartbeat();
    expect(air.run()[0]?.at).toBeLessThan(before + 0.01 * SECOND);
  });
});

describe('a session whose number is ahead of the clock', () => {
  it('because it was set back does not wait, and says so once', () => {
    const air = new Air({ tsi: NOW + 3600 });
    expect(firstLeaves(air)).toBe(0);
    expect(ahead(air)).toEqual([3600]);
    air.heartbeat();
    air.run();
    expect(ahead(air)).toEqual([3600]);
  });

  it('since the clock says 1970 does not wait', () => {
    const air = new Air({ tsi: 1, wall: 0 });
    expect(firstLeaves(air)).toBe(0);
    expect(ahead(air)).toHaveLength(1);
  });

  it('and whose clock stands still waits no longer than three seconds', () => {
    const air = new Air({ tsi: NOW });
    air.heartbeat();
    const began = air.now;
    const look = (): number => {
      air.wall = WALL + (began - air.now) / SECOND;
      return air.machine.depart(air.now).at;
    };
    while (air.machine.counters.datagrams === 0 && air.now < began + 10 * SECOND) air.now = Math.max(air.now, look());
    expect(air.now - began).toBeGreaterThan(2.9 * SECOND);
    expect(air.now - began).toBeLessThan(3.1 * SECOND);
    expect(ahead(air)).toEqual([0]);
  });
});

describe('a session that another is rolled to', () => {
  it('is taken up when its second is over; until then the one before goes on', () => {
    const air = new Air();
    air.machine.roll(NOW);
    const beats = [0, 0.5, 1.5].map((seconds) => {
      air.now = Math.max(air.now, BEGIN + seconds * SECOND);
      air.run();
      air.heartbeat();
      return air.run().at(-1)?.tsi;
    });
    expect(beats).toEqual([1000, 1000, NOW]);
  });
});
