import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, it, vi } from 'vitest';
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

it('prepares each statement once', () => {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  const index = PackIndex.open(join(base, 'statements.sqlite'));
  const change = (n: number): void => {
    const [pack, blob] = [digestOf(Buffer.from(`pack ${String(n)}`)), digestOf(Buffer.from(`blob ${String(n)}`))];
    index.change(() => {
      index.add(pack, [{ digest: blob, offset: n, size: 1 }]);
    });
    expect(index.has(pack)).toBe(true);
    expect(index.find(blob)).toEqual({ pack, offset: n, size: 1 });
    expect([...index.list()]).toEqual([{ digest: blob, size: 1 }]);
    index.change(() => {
      index.remove(blob);
      expect(index.takeEmpty()).toEqual([pack]);
    });
  };
  change(0);
  const once = prepare.mock.calls.length;
  expect(once).toBeGreaterThan(0);
  for (let n = 1; n < 10; n += 1) change(n);
  expect(prepare.mock.calls.length).toBe(once);
  prepare.mockRestore();
  index.close();
});
