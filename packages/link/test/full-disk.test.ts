import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { spoolKey } from '@sluice/transfer';
import { BLOCK_BYTES, bytesOf, digestOf, hand, objectOf } from './samples.ts';
import { scratch, Told, until } from './tools.ts';

const isRoot = process.getuid?.() === 0;
const SMALL = 512 * 1024;
const INODES = 20;

describe.skipIf(!isRoot)(`a spool on a full disk${isRoot ? '' : ': mounting needs root'}`, () => {
  /** A file system of 512 KiB, or of another size. */
  function small(options = '', size = SMALL): string {
    const root = scratch();
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}${options}`, 'tmpfs', root]);
    onTestFinished(() => {
      execFileSync('umount', ['-l', root]);
    });
    return root;
  }

  it('says so, keeps what it has, and goes on by itself when there is room again', async () => {
    const root = small();
    const filler = join(root, 'filler');
    const told = new Told(root);
    const bytes = bytesOf('large', 200 * BLOCK_BYTES);
    const info = objectOf(bytes);
    told.take(info, bytes, (sbn) => sbn < 50);
    await until(() => told.spool.queuedBytes === 0);
    expect(() => {
      writeFileSync(filler, Buffer.alloc(SMALL));
    }).toThrow('ENOSPC');

    hand(told.spool, info, bytes, (sbn) => sbn >= 100);
    await until(() => told.spool.queuedBytes === 0);
    expect(new Set(told.alarms)).toEqual(new Set(['spool-full']));
    expect(told.lost).toContain(spoolKey(info));
    expect(told.spool.bytes).toBeLessThan(150 * BLOCK_BYTES);

    rmSync(filler);
    const opened = told.spool.open(info);
    if (typeof opened === 'string') throw new Error(opened);
    const stored = opened.stored.slice();
    expect(stored.subarray(0, 6)).toEqual(new Uint8Array(6).fill(255));
    hand(told.spool, info, bytes, (sbn) => ((stored[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) === 0);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
  });

  it('takes back what it said of an object that lost some of it, and says no more of it until it is whole', async () => {
    const room = 6 * 2 ** 20;
    const told = new Told(small('', room), { unsignedBytesHeld: 2 * room });
    const bytes = bytesOf('growing', 6000 * BLOCK_BYTES);
    const info = objectOf(bytes);
    told.take(info, bytes, (sbn) => sbn < 4000);
    await until(() => told.grown.length > 0 && told.spool.queuedBytes === 0);
    expect(told.grown.at(-1)?.bytes).toBeGreaterThan(0);
    told.take(info, bytes, (sbn) => sbn >= 4000);
    await until(() => told.lost.length > 0 && told.spool.queuedBytes === 0);
    expect(told.grown.at(-1)?.bytes).toBe(0);
    const { length } = told.grown;
    told.take(info, bytes, (sbn) => sbn % 2 === 0);
    await until(() => told.spool.queuedBytes === 0);
    expect(told.grown).toHaveLength(length);
  });

  it('lets whole objects be taken, which makes the room', async () => {
    const told = new Told(small());
    const [a, b] = [bytesOf('a', 200 * BLOCK_BYTES), bytesOf('b', 300 * BLOCK_BYTES)];
    told.take(objectOf(a), a);
    await until(() => told.whole.length === 1);
    told.take(objectOf(b), b);
    await until(() => told.spool.queuedBytes === 0);
    expect(new Set(told.alarms)).toEqual(new Set(['spool-full']));
    const { length } = told.alarms;

    await told.spool.settle('prod', spoolKey(objectOf(a)));
    told.take(objectOf(b), b);
    await until(() => told.whole.length === 2);
    expect(digestOf(readFileSync(told.whole[1]!.path))).toBe(digestOf(b));
    expect(told.alarms).toHaveLength(length);
  });

  it('is emptied even where no further file can be made, not even a mark', async () => {
    const root = small(`,nr_inodes=${INODES}`);
    const told = new Told(root);
    const bytes = bytesOf('taken', BLOCK_BYTES);
    told.take(objectOf(bytes), bytes);
    await until(() => told.whole.length === 1);
    expect(() => {
      for (let i = 0; i < INODES; i += 1) writeFileSync(join(root, `other-${i}`), '');
    }).toThrow('ENOSPC');
    await told.spool.settle('prod', spoolKey(objectOf(bytes)));
    expect(readdirSync(join(root, 'prod')).map((name) => name.replace(/^.*\./, ''))).toEqual(['done']);
  });
});
