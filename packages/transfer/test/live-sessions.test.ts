// S-3: the live session, and the one before it for five seconds. What a key holder can make link hold must not grow with the sessions that are begun.
import { describe, expect, it } from 'vitest';
import { Bench, E, TSI, WAYS } from './bench.ts';

const one = (bench: Bench, tsi: number) => bench.send(bench.datagram(9, 0, 0, new Uint8Array(E), { tsi }));

describe.each(WAYS)('live sessions that follow each other within five seconds, %s,', (way) => {
  it('leave no more than the one before open', () => {
    const bench = new Bench({ way });
    for (let i = 0; i < 20; i += 1) expect(one(bench, TSI + i)).toBe('accepted');
    // An open session takes what it has not seen; one that is over is older than the newest.
    const open = Array.from({ length: 20 }, (_, i) => one(bench, TSI + i)).filter((verdict) => verdict === 'accepted');
    expect(open).toHaveLength(2);
  });

  it('take no memory each', () => {
    const bench = new Bench({ way });
    one(bench, TSI);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 1; i <= 4000; i += 1) one(bench, TSI + i);
    const grown = process.memoryUsage().arrayBuffers - before;
    expect(grown, `${(grown / 2 ** 20).toFixed(1)} MiB for 4,000 datagrams`).toBeLessThan(8 * 2 ** 20);
  });
});
