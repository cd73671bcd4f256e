// What an authentic FDT Instance declares costs memory and time before a single symbol of it came: that must be bounded.
import { encodeFdt } from '@sluice/alc';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../testkit/src/index.ts';
import { Bench, E, NTP, TSI, WAYS } from './bench.ts';

/** Source blocks of one object, at most (docs/PROTOCOL.md O-7). */
const BLOCKS = 2 ** 24;

/** An FDT Instance of objects of so many blocks that nobody has to have, let alone send. */
const huge = (files: number, from = 1): Uint8Array =>
  encodeFdt({
    ...{ expires: (NTP + 86_400) >>> 0, maxBlock: 1, symbolBytes: E, maxSymbols: 255 },
    files: Array.from({ length: files }, (_, i) => ({
      ...{ toi: 1_000_000 + from + i, digest: digestOf(Buffer.from(String(from + i))), length: BLOCKS * E },
      contentType: 'application/octet-stream' as const,
    })),
  });

describe.each(WAYS)('objects that an FDT Instance declares, %s,', (way) => {
  it('take no more memory than one of the largest, however many there are', { timeout: 120_000 }, () => {
    const bench = new Bench({ way, limits: { objectBytes: 2 ** 40, objects: 200_000, tois: 200_000 } });
    bench.carries();
    // As the spool of link does it, which allocates nothing but a bit for each block.
    const memory = bench.spool.open.bind(bench.spool);
    bench.spool.open = (info) => (info.size > 2 ** 20 ? { stored: new Uint8Array(BLOCKS / 8) } : memory(info));
    const before = process.memoryUsage().arrayBuffers;
    const started = performance.now();
    // 64 KiB would hold 300.
    bench.sendAll(bench.fdt(huge(12), { tsi: TSI, maxBlock: 250 }));
    const took = performance.now() - started;
    const grown = process.memoryUsage().arrayBuffers - before;
    expect(grown, `${(grown / 2 ** 20).toFixed(0)} MiB, ${took.toFixed(0)} ms`).toBeLessThan(64 * 2 ** 20);
    // What is honest comes in as before.
    expect(bench.carries()).toBe(true);
  });
});
