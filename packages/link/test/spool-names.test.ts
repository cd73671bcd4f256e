import { describe, expect, it } from 'vitest';
import { CONTENT_TYPES } from '@sluice/alc';
import { spoolKey } from '@sluice/transfer';
import { fileName, parseFileName } from '../src/spool-names.ts';
import { bytesOf, objectOf } from './samples.ts';

const HEARTBEAT = 'application/vnd.sluice.heartbeat+json';

describe('names in the spool', () => {
  it('say what the object is, and are read back as they were written', () => {
    for (const contentType of CONTENT_TYPES.filter((type) => type !== HEARTBEAT)) {
      for (const state of ['part', 'map', 'whole', 'done'] as const) {
        const info = objectOf(bytesOf(contentType, 77), { contentType, symbolBytes: 8896, maxBlock: 250 });
        const name = fileName(spoolKey(info), contentType, state);
        const { digest, size, symbolBytes, maxBlock } = info;
        const key = spoolKey(info);
        expect(parseFileName(name)).toEqual({ key, digest, size, symbolBytes, maxBlock, contentType, state });
        expect(name).not.toContain('/');
        expect(name.length).toBeLessThan(255);
      }
    }
  });

  it('objects of one digest but other length, E or B have other names', () => {
    const info = objectOf(bytesOf('one', 100));
    const others = [{ size: 101 }, { symbolBytes: 80 }, { maxBlock: 21 }].map((over) => ({ ...info, ...over }));
    expect(new Set([info, ...others].map(spoolKey)).size).toBe(4);
  });

  it('the largest object that the link carries has a name, one beyond it has none', () => {
    const hex = 'f'.repeat(64);
    expect(parseFileName(`${hex}-${2 ** 40}-1408-200.blob.part`)?.size).toBe(2 ** 40);
    expect(parseFileName(`${hex}-${2 ** 40 + 1}-1408-200.blob.part`)).toBeUndefined();
    // 2^24 blocks of one symbol, and one block more.
    expect(parseFileName(`${hex}-${64 * 2 ** 24}-64-1.blob.part`)?.maxBlock).toBe(1);
    expect(parseFileName(`${hex}-${64 * 2 ** 24 + 1}-64-1.blob.part`)).toBeUndefined();
  });
});
