import { spoolKey } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, bytesOf, hand, objectOf } from './samples.ts';
import { scratch, Told, until } from './tools.ts';

describe('the spool', () => {
  it('leave that is taken back takes what came along, and keeps the mark of what was taken', async () => {
    const told = new Told(scratch(), { unsignedBytesHeld: 4 * BLOCK_BYTES });
    const [whole, part, taken] = ['whole', 'part', 'taken'].map((name) => bytesOf(name, 3 * BLOCK_BYTES)) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    const infos = [whole, part, taken].map((bytes) => objectOf(bytes));
    const digests = infos.map(({ digest }) => digest);
    told.spool.allow('prod', digests);
    for (const [i, bytes] of [whole, part, taken].entries()) {
      told.spool.open(infos[i]!);
      hand(told.spool, infos[i]!, bytes, (sbn) => bytes !== part || sbn === 0);
    }
    await until(() => told.whole.length === 2);
    await told.spool.settle('prod', spoolKey(infos[2]!));
    expect(told.spool.bytes).toBeGreaterThan(3 * BLOCK_BYTES);
    expect([...(await told.spool.withdraw('prod', digests))].sort()).toEqual(infos.slice(0, 2).map(spoolKey).sort());
    expect(told.spool.bytes).toBe(0);
    // Without leave it counts as any that nobody vouches for; what was taken is not wanted still.
    expect(told.spool.open(infos[2]!)).toBe('complete');
    expect(typeof told.spool.open(infos[0]!)).toBe('object');
  });
});
