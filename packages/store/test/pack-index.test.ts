import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PackIndex } from '../src/pack-index.ts';
import { digestOf } from './blobs.ts';

const base = mkdtempSync(join(tmpdir(), 'sluice-pack-index-'));
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

it('is read by others while a change larger than its cache is under way', () => {
  const path = join(base, 'index.sqlite');
  const writer = PackIndex.open(path);
  const reader = PackIndex.openToRead(path);
  const pack = digestOf(Buffer.from('pack'));
  const members = Array.from({ length: 100_000 }, (_, n) => ({
    digest: digestOf(Buffer.from(String(n))),
    offset: n,
    size: 1,
  }));
  const blob = digestOf(Buffer.from('99999'));
  writer.change(() => {
    writer.add(pack, members);
    expect(reader?.has(pack)).toBe(false);
    expect(reader?.find(blob)).toBeUndefined();
  });
  expect(reader?.find(blob)).toEqual({ pack, offset: 99_999, size: 1 });
  // SQLite's cache has 2,000 KiB: the change was twice that.
  expect(statSync(path).size).toBeGreaterThan(2 * 2000 * 1024);
  reader?.close();
  writer.close();
});
