import fs, { readFileSync, writeFileSync } from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { INDEX_NAME, verifyChunkLog } from '../src/index.ts';
import { keys, logs, kept, plain, keeper } from './chunk-logs.ts';

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

const failure = (code: string): Error => Object.assign(new Error(code), { code });

describe('the index of the chunk log', () => {
  it.each([
    [
      'is full in the middle of a line',
      () => {
        const write = fs.writeSync;
        let calls = 0;
        vi.spyOn(fs, 'writeSync').mockImplementation(((file: number, bytes: Uint8Array, at: number) => {
          calls += 1;
          if (calls === 1) return write(file, bytes, at, 100);
          if (calls === 2) throw failure('ENOSPC');
          return write(file, bytes, at);
        }) as typeof fs.writeSync);
      },
    ],
    [
      'cannot sync a line',
      () => {
        vi.spyOn(fs, 'fsyncSync').mockImplementationOnce(() => {
          throw failure('EIO');
        });
      },
    ],
  ])('holds after a disk that %s, once it takes lines again', async (_what, fail) => {
    const directory = await logs(4);
    const keeping = keeper(directory);
    fail();
    syncBuiltinESMExports();
    expect((await keeping.round()).failure).toMatch(/ENOSPC|EIO/);
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect((await keeping.round()).failure).toBeUndefined();
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
    expect((await keeper(directory).round()).files).toBe(3);
  });
});

describe('a keeper that ends between the entry that a file went and its removal', () => {
  it.each(['is started again', 'goes on'])('removes it once it %s, and nothing is amiss', async (how) => {
    const directory = await logs(4);
    const { bytes } = await keeper(directory).round();
    const before = kept(directory);
    const remove = fsp.rm;
    vi.spyOn(fsp, 'rm').mockImplementation((path, options) =>
      String(path).endsWith('.zst') ? Promise.reject(failure('EIO')) : remove(path, options),
    );
    syncBuiltinESMExports();
    const first = keeper(directory, bytes - 1);
    expect((await first.round()).failure).toBe('EIO');
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect(kept(directory)).toEqual(before);
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
    await (how === 'goes on' ? first : keeper(directory, bytes - 1)).round();
    expect(kept(directory)).toEqual(before.slice(1));
    expect(await verifyChunkLog(directory, keys)).toMatchObject({ faults: [], removed: 1 });
  });
});

describe('a log that a loss of power left', () => {
  it.each([
    ['empty', () => Buffer.alloc(0)],
    ['all zero', (bytes: Buffer) => Buffer.alloc(bytes.length)],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, 1000)],
    [
      'zero from some place on',
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(bytes.length)]),
    ],
    ['garbage', (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => byte ^ (i * 7)))],
  ])('%s, is kept as it is', async (_what, harm) => {
    const directory = await logs(4);
    const [first = ''] = plain(directory);
    writeFileSync(join(directory, first), harm(readFileSync(join(directory, first))));
    expect(await keeper(directory).round()).toMatchObject({ files: 3, failure: undefined });
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
  });
});

describe('an index that a loss of power left', () => {
  it('with zeros at its end goes on', async () => {
    const directory = await logs(4);
    await keeper(directory).round();
    writeFileSync(join(directory, INDEX_NAME), Buffer.alloc(100), { flag: 'a' });
    expect((await keeper(directory).round()).files).toBe(3);
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
  });
});
