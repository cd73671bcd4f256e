import { mkdtempSync, rmSync } from 'node:fs';
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
  const [before, during] = [PackIndex.open(path), PackIndex.openToRead(path)];
  const pack = digestOf(Buffer.from('pack'));
  // Some 60 bytes each in the index, and twice the 2 MiB that SQLite keeps.
  const members = Array.from({ length: 60_000 }, (_, n) => ({
    digest: digestOf(Buffer.of(n >> 8, n)),
    offset: n,
    size: 1,
  }));
  before.change(() => {
    before.add(pack, members);
    expect(during?.has(pack)).toBe(false);
    expect(during?.find(members[59_999]?.digest ?? pack)).toBeUndefined();
  });
  expect(during?.find(members[59_999]?.digest ?? pack)).toEqual({ pack, offset: 59_999, size: 1 });
  during?.close();
  before.close();
});
