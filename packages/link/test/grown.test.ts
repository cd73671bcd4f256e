import { spoolKey } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, bytesOf, objectOf } from './samples.ts';
import { scratch, Told, until } from './tools.ts';

const SIZE = 11_000 * BLOCK_BYTES;
const LIMITS = { unsignedBytesHeld: 2 * SIZE };
const bytes = bytesOf('grown', SIZE);
const info = objectOf(bytes);

describe('an object that is not whole', () => {
  it('is told of as far as its file is written without a gap, and what was said is there', async () => {
    const told = new Told(scratch(), LIMITS);
    // Each part waits for the one before, and each begins with its second block.
    for (const part of [0, 1, 2]) {
      const first = part * 3500;
      told.take(info, bytes, (sbn) => sbn > first && sbn < first + 3500);
      await until(() => told.spool.queuedBytes === 0);
      expect(told.grown.at(-1)?.bytes ?? 0).toBeLessThanOrEqual(first * BLOCK_BYTES);
      told.take(info, bytes, (sbn) => sbn === first);
      if (part > 0) await until(() => (told.grown.at(-1)?.bytes ?? 0) > first * BLOCK_BYTES);
    }
    for (const { key, bytes: said, there } of told.grown) {
      expect(key).toBe(spoolKey(info));
      expect(there.equals(bytes.subarray(0, said))).toBe(true);
    }
    told.take(info, bytes, (sbn) => sbn >= 10_500);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
  });
});
