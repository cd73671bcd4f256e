import fs, { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChunkLog, directoryStorage } from '@sluice/pcapng';
import { loadSigner, loadVerifier, makeKeyPair } from '@sluice/trust';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ChunkKeeper, INDEX_NAME, verifyChunkLog } from '../src/index.ts';

const { privatePem, publicPem } = makeKeyPair('Ed25519');
const signer = loadSigner(privatePem);
const keys = [loadVerifier(publicPem)];
const HOUR = 3_600_000;

async function logs(hours: number): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-keeper-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  let now = Date.parse('2026-11-24T08:00:00Z');
  const ends = {
    name: 'link',
    sourceAddress: '192.0.2.1',
    sourcePort: 1,
    destinationAddress: '192.0.2.2',
    destinationPort: 2,
  };
  const log = new ChunkLog(
    {
      ...{ mode: 'full', interfaces: [ends], section: { application: 'test' } },
      ...{ fileBytes: 2 ** 20, fileAgeMs: HOUR, totalBytes: 2 ** 30, bufferBytes: 2 ** 20, flushMs: 1e6, retryMs: 1 },
    },
    directoryStorage(directory),
    { wallMs: () => now, upMs: () => now },
  );
  for (let hour = 0; hour < hours; hour += 1, now += HOUR) {
    const bytes = new Uint8Array(40_000).fill(hour);
    log.append({ bytes, offsets: [0], lengths: [bytes.length], count: 1 }, ['accepted'], BigInt(now) * 1_000_000n);
    await log.flush();
  }
  await log.close();
  return directory;
}

const keeper = (directory: string, totalBytes = 2 ** 30): ChunkKeeper =>
  new ChunkKeeper({ directory, signer, totalBytes });
const plain = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.pcapng'))
    .toSorted();
const stored = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.zst'))
    .toSorted();

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
    const kept = keeper(directory);
    fail();
    syncBuiltinESMExports();
    expect((await kept.round()).failure).toMatch(/ENOSPC|EIO/);
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect((await kept.round()).failure).toBeUndefined();
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
    expect((await keeper(directory).round()).files).toBe(3);
  });
});

describe('a keeper that ends between the entry that a file went and its removal', () => {
  it.each(['is started again', 'goes on'])('removes it once it %s, and nothing is amiss', async (how) => {
    const directory = await logs(4);
    const { bytes } = await keeper(directory).round();
    const before = stored(directory);
    const remove = fsp.rm;
    vi.spyOn(fsp, 'rm').mockImplementation((path, options) =>
      String(path).endsWith('.zst') ? Promise.reject(failure('EIO')) : remove(path, options),
    );
    syncBuiltinESMExports();
    const first = keeper(directory, bytes - 1);
    expect((await first.round()).failure).toBe('EIO');
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect(stored(directory)).toEqual(before);
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
    await (how === 'goes on' ? first : keeper(directory, bytes - 1)).round();
    expect(stored(directory)).toEqual(before.slice(1));
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
