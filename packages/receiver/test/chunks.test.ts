import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readChunkLog } from '@sluice/pcapng';
import { loadSigner, makeKeyPair } from '@sluice/trust';
import { describe, expect, it, onTestFinished } from 'vitest';
import { KeeperThread } from '../src/chunks/thread.ts';
import { ChunkKeeper, holdName, INDEX_NAME, verifyChunkLog } from '../src/index.ts';
import { privatePem, keys, START, HOUR, UNDER, logs, kept, plain, keeper } from './chunk-logs.ts';

describe('the keeper of the chunk log', () => {
  it('compresses what link has closed, and enters it in the index with times, counts and what it was received under', async () => {
    const directory = await logs(4);
    const state = await keeper(directory).round();
    expect([kept(directory).length, plain(directory).length]).toEqual([3, 1]);
    expect(state).toMatchObject({ files: 3, reaches: START, retained: false, failure: undefined });
    const { good, faults, waiting, head } = await verifyChunkLog(directory, keys);
    expect(faults).toEqual([]);
    expect(waiting).toEqual(plain(directory));
    expect(head).toBe(state.head);
    expect(good.map(({ number, from, to, datagrams, under }) => ({ number, from, to, datagrams, under }))).toEqual(
      [0, 1, 2].map((hour) => ({
        ...{
          number: hour + 1,
          from: START + hour * HOUR,
          to: START + hour * HOUR + HOUR / 2,
          datagrams: 2,
          under: UNDER,
        },
      })),
    );
    const payloads: number[] = [];
    for await (const item of readChunkLog(kept(directory).map((name) => join(directory, name)))) {
      if (item.kind === 'datagram') payloads.push(item.udp.payload[0] ?? -1);
    }
    expect(payloads).toEqual([0, 0, 1, 1, 2, 2]);
  });

  it('goes on where it was cut off, at each step', async () => {
    const directory = await logs(4);
    const [first = ''] = plain(directory);
    const before = readFileSync(join(directory, first));
    // Compressed by half; an index line by half; the plain file not taken away.
    writeFileSync(join(directory, `${first}.zst.new`), before.subarray(0, 100));
    await keeper(directory).round();
    writeFileSync(join(directory, first), before);
    writeFileSync(join(directory, INDEX_NAME), '{"payloadType":"appl', { flag: 'a' });
    const state = await keeper(directory).round();
    expect(state.files).toBe(3);
    expect(readdirSync(directory).filter((name) => name.endsWith('.new'))).toEqual([]);
    expect(plain(directory)).not.toContain(first);
    expect(await verifyChunkLog(directory, keys)).toMatchObject({ faults: [], removed: 0 });
  });

  it('removes the oldest beyond its budget and says so, and leaves alone what is held', async () => {
    const directory = await logs(7);
    const { bytes } = await keeper(directory).round();
    const [from, to] = [START + HOUR, START + HOUR + 1000];
    const hold = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), reason: 'case 7' };
    writeFileSync(join(directory, holdName(from, to)), JSON.stringify(hold));
    const state = await keeper(directory, Math.ceil((bytes / 6) * 2.5)).round();
    expect(kept(directory).map((name) => Number(/-0*(\d+)\.pcapng/.exec(name)?.[1]))).toEqual([2, 5, 6]);
    expect(state).toMatchObject({ files: 3, heldFiles: 1, retained: true, reaches: START + 4 * HOUR });
    expect(await verifyChunkLog(directory, keys)).toMatchObject({ faults: [], removed: 3 });
    // A hold that nobody can read holds everything.
    writeFileSync(join(directory, holdName(from, to)), 'from noon on');
    expect((await keeper(directory, 1).round()).files).toBe(3);
    rmSync(join(directory, holdName(from, to)));
    expect((await keeper(directory, 1).round()).files).toBe(0);
  });
});

describe('the thread that keeps the chunk log', () => {
  const states = async (directory: string): Promise<KeeperThread> => {
    const thread = new KeeperThread({ directory, keyPem: privatePem, totalBytes: 1, everyMs: 20 }, () => undefined);
    onTestFinished(() => thread.stop());
    await expect.poll(() => thread.state, { timeout: 20_000 }).toBeDefined();
    return thread;
  };

  it('says that it cannot, where its directory cannot be had, and goes on once it can', async () => {
    const directory = await logs(2);
    const place = join(directory, 'file');
    writeFileSync(place, '');
    const thread = await states(join(place, 'chunks'));
    expect(thread.state?.failure).toMatch(/ENOTDIR|EEXIST/);
    rmSync(place);
    await expect.poll(() => thread.state, { timeout: 20_000 }).toMatchObject({ failure: undefined, files: 0 });
  });

  it('tells a log that is young from one of which something is gone', async () => {
    const young = await states(await logs(1));
    expect(young.state).toMatchObject({ reaches: undefined, retained: false });
    const cut = await states(await logs(3));
    await expect
      .poll(() => cut.state, { timeout: 20_000 })
      .toMatchObject({ reaches: undefined, retained: true, files: 0 });
    // What link took away itself, before it could be entered, counts too.
    const directory = await logs(4);
    rmSync(join(directory, plain(directory)[0] ?? ''));
    const state = await keeper(directory).round();
    expect(state).toMatchObject({ reaches: START + HOUR, retained: true });
  });
});

describe('sluice chunklog verify finds', () => {
  /** What is found once something was done to a directory that was good. */
  async function afterwards(change: (directory: string, names: readonly string[]) => void): Promise<readonly string[]> {
    const directory = await logs(5);
    await keeper(directory).round();
    expect((await verifyChunkLog(directory, keys)).faults).toEqual([]);
    change(directory, kept(directory));
    return (await verifyChunkLog(directory, keys)).faults;
  }
  const lines = (directory: string): string[] => readFileSync(join(directory, INDEX_NAME), 'utf8').split(/(?<=\n)/);

  it('a file that was removed', async () => {
    const faults = await afterwards((directory, [, second = '']) => {
      rmSync(join(directory, second));
    });
    expect(faults).toEqual([
      expect.stringMatching(/-000002\.pcapng\.zst is in the index and not there: it was removed/),
    ]);
  });

  it('a file that was altered by a single bit', async () => {
    const faults = await afterwards((directory, [, second = '']) => {
      const bytes = readFileSync(join(directory, second));
      bytes[50] = (bytes[50] ?? 0) ^ 1;
      writeFileSync(join(directory, second), bytes);
    });
    expect(faults).toEqual([expect.stringMatching(/-000002\.pcapng\.zst is not what the index says: it was altered/)]);
  });

  it('a file that was added, and one that stands for another', async () => {
    const faults = await afterwards((directory, [first = '', second = '']) => {
      renameSync(join(directory, first), join(directory, 'chunks-20261124T080001Z-000001.pcapng.zst'));
      writeFileSync(
        join(directory, second),
        readFileSync(join(directory, 'chunks-20261124T080001Z-000001.pcapng.zst')),
      );
    });
    expect(faults).toHaveLength(3);
    expect(faults.join('\n')).toMatch(/it was removed[^]*it was altered[^]*it was added/);
  });

  it('two files that were put in place of each other, and two lines of the index that were', async () => {
    const files = await afterwards((directory, [first = '', second = '']) => {
      const [one, two] = [join(directory, first), join(directory, second)];
      renameSync(one, `${one}.kept`);
      renameSync(two, one);
      renameSync(`${one}.kept`, two);
    });
    expect(files).toEqual([1, 2].map((i): unknown => expect.stringMatching(`00000${String(i)}.*it was altered`)));
    const order = await afterwards((directory) => {
      const [first = '', second = '', ...others] = lines(directory);
      writeFileSync(join(directory, INDEX_NAME), [second, first, ...others].join(''));
    });
    expect(order.join('\n')).toMatch(/line 1 of the index does not follow[^]*line 2 of the index does not follow/);
  });

  it('a line of the index that was taken out, with its file', async () => {
    const faults = await afterwards((directory, [, second = '']) => {
      rmSync(join(directory, second));
      writeFileSync(join(directory, INDEX_NAME), lines(directory).toSpliced(1, 1).join(''));
    });
    expect(faults.join('\n')).toMatch(/line 2 of the index does not follow the line before/);
  });

  it('an index that somebody made anew with another key', async () => {
    const other = loadSigner(makeKeyPair('Ed25519').privatePem);
    const directory = await logs(3);
    await new ChunkKeeper({ directory, signer: other, totalBytes: 2 ** 30 }).round();
    expect((await verifyChunkLog(directory, keys)).faults).toContain(
      'line 1 of the index is signed by none of the keys given',
    );
  });
});

it('a compressed log that is damaged is read up to there, and says so', async () => {
  const directory = await logs(3);
  await keeper(directory).round();
  const path = join(directory, kept(directory)[0] ?? '');
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, bytes.length - 20));
  const kinds: string[] = [];
  for await (const item of readChunkLog([path])) kinds.push(item.kind === 'fault' ? item.code : item.kind);
  expect(kinds.at(-1)).toBe('end');
  expect(kinds.at(-2)).toMatch(/^(bad-block|truncated)$/);
});
