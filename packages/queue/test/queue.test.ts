import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OperationalError, type Digest } from '@sluice/ports';
import { missing } from '../../../test/harbor/needs.ts';
import {
  addressOf,
  bundleOf,
  jobIdOf,
  openQueue,
  QUEUE_NAME,
  startWorker,
  type ImportJob,
  type ImportQueue,
} from '../src/index.ts';
import { freePort, RedisServer } from './redis.ts';

const absent = missing('redis-server');
if (absent !== undefined) console.log(`queue: skipped, ${absent} is not installed`);

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;

let dir: string;
let redis: RedisServer | undefined;
const closing: (() => Promise<void>)[] = [];

async function start(...more: string[]): Promise<string> {
  redis = await RedisServer.start(dir, await freePort(), ...more);
  return redis.url;
}

function open(url: string): ImportQueue {
  const queue = openQueue({ redis: { url } });
  closing.push(() => queue.close());
  return queue;
}

/** A worker whose jobs are answered by `handle`; retries follow at once. */
function work(url: string, handle: (job: ImportJob) => Promise<string>, lockMs?: number): void {
  const worker = startWorker({ redis: { url }, handle, pace: () => 1, ...(lockMs === undefined ? {} : { lockMs }) });
  closing.push(() => worker.close(1000));
}

const until = async (check: () => boolean | Promise<boolean>): Promise<void> => {
  await expect.poll(check, { interval: 10, timeout: 15_000 }).toBe(true);
};
const connected = (queue: ImportQueue): Promise<void> => until(async () => (await queue.health()).reachable);

describe('job ids', () => {
  it('are digests without a colon', () => {
    expect(jobIdOf(digest('a'))).toBe(`sha256-${'a'.repeat(64)}`);
    expect(bundleOf(jobIdOf(digest('a')))).toBe(digest('a'));
    for (const bad of [
      '',
      'sha256-',
      `sha256:${'a'.repeat(64)}`,
      `sha256-${'A'.repeat(64)}`,
      `x${jobIdOf(digest('a'))}`,
    ]) {
      expect(bundleOf(bad)).toBeUndefined();
    }
  });

  it('come with addresses that show no password', () => {
    expect(addressOf('redis://user:secret@host:6379/1')).toBe('redis://host:6379/1');
    expect(addressOf('/run/redis.sock')).toBe('/run/redis.sock');
  });
});

describe.skipIf(absent !== undefined)('import queue', () => {
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await redis?.stop();
    redis = undefined;
    rmSync(dir, { recursive: true });
  });

  it('carries a job to a worker and the receipt back', async () => {
    const url = await start();
    const queue = open(url);
    await connected(queue);
    const results: unknown[] = [];
    const undo = queue.onResult((result) => results.push(result));
    work(url, (job) => Promise.resolve(`receipt of ${job.bundle ?? '?'}`));
    expect(await queue.enqueue(digest('1'))).toBe('added');
    await until(() => results.length === 1);
    const receipt = `receipt of ${digest('1')}`;
    expect(results).toEqual([{ bundle: jobIdOf(digest('1')), outcome: 'completed', receipt }]);
    expect(await queue.status(digest('1'))).toMatchObject({ state: 'completed', receipt });
    expect(await queue.enqueue(digest('1'))).toBe('present');
    expect(await queue.enqueue(digest('1'), { again: true })).toBe('added');
    await until(() => results.length === 2);
    expect(await queue.status(digest('2'))).toMatchObject({ state: 'absent' });
    undo();
  });

  it('tries again as often as it takes, at the pace of the error', async () => {
    const url = await start();
    const queue = open(url);
    await connected(queue);
    const attempts: number[] = [];
    const paced: string[] = [];
    const worker = startWorker({
      redis: { url },
      handle: ({ attempt }) => {
        attempts.push(attempt);
        if (attempt < 30)
          throw new OperationalError(attempt % 2 === 0 ? 'store-io' : 'ledger-io', 'no', { retryable: true });
        return Promise.resolve('done');
      },
      pace: (error, made) => {
        paced.push(`${error instanceof OperationalError ? error.code : '?'} ${made}`);
        return 1;
      },
    });
    closing.push(() => worker.close(1000));
    await queue.enqueue(digest('3'));
    await until(async () => (await queue.status(digest('3'))).state === 'completed');
    expect(attempts).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(paced.slice(0, 2)).toEqual(['ledger-io 1', 'store-io 2']);
  });

  it('starts and stops without Redis, answers in bounded time, and works once it is there', async () => {
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const errors: Error[] = [];
    const queue = openQueue({ redis: { url }, onError: (error) => errors.push(error) });
    work(url, () => Promise.resolve('done'));
    await expect(queue.enqueue(digest('4'))).rejects.toMatchObject({ code: 'queue-unavailable', retryable: true });
    expect(await queue.health()).toMatchObject({ reachable: false });
    await until(() => errors.length > 0);
    redis = await RedisServer.start(dir, port);
    await connected(queue);
    await queue.enqueue(digest('4'));
    await until(async () => (await queue.status(digest('4'))).state === 'completed');
    await queue.close();
    const never = open(`redis://127.0.0.1:${await freePort()}`);
    await never.close();
  });

  it('goes on after Redis was killed and came back, and after FLUSHALL', async () => {
    const url = await start();
    const queue = open(url);
    await connected(queue);
    work(url, () => Promise.resolve('done'));
    await queue.enqueue(digest('5'));
    await until(async () => (await queue.status(digest('5'))).state === 'completed');
    const port = redis?.port ?? 0;
    await redis?.stop();
    await until(async () => !(await queue.health()).reachable);
    await expect(queue.status(digest('5'))).rejects.toMatchObject({ code: 'queue-unavailable' });
    redis = await RedisServer.start(dir, port);
    await connected(queue);
    const client = new Redis(url);
    await client.flushall();
    client.disconnect();
    expect((await queue.status(digest('5'))).state).toBe('absent');
    expect(await queue.enqueue(digest('5'))).toBe('added');
    await until(async () => (await queue.status(digest('5'))).state === 'completed');
  });

  it('hands the job of a killed worker to the next one, every time', async () => {
    const url = await start();
    const queue = open(url);
    await connected(queue);
    await queue.enqueue(digest('6'));
    for (let kill = 0; kill < 3; kill++) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'stuck-worker.ts'), url], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      expect(line).toBe(`working on ${digest('6')}`);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    work(url, () => Promise.resolve('done'), 500);
    await until(async () => (await queue.status(digest('6'))).state === 'completed');
  });

  it('marks a job whose id or data somebody made up', async () => {
    const url = await start();
    const seen: (string | undefined)[] = [];
    work(url, (job) => {
      seen.push(job.bundle);
      return Promise.resolve('refused');
    });
    const client = new Redis(url, { maxRetriesPerRequest: null });
    const forger = new Queue(QUEUE_NAME, { connection: client });
    await forger.add('import', { bundle: digest('7') }, { jobId: 'evil' });
    await forger.add('import', { bundle: digest('8') }, { jobId: jobIdOf(digest('7')) });
    await forger.add('other', null, { jobId: jobIdOf(digest('9')) });
    await until(() => seen.length === 3);
    expect(seen).toEqual([undefined, undefined, undefined]);
    await forger.close();
    client.disconnect();
  });

  it('goes on telling results after an event that somebody made up', async () => {
    const url = await start();
    const queue = open(url);
    await connected(queue);
    const results: unknown[] = [];
    queue.onResult((result) => results.push(result));
    work(url, () => Promise.resolve('done'));
    const client = new Redis(url);
    await client.xadd(`bull:${QUEUE_NAME}:events`, '*', 'event', 'completed', 'jobId', 'x', 'returnvalue', '{');
    client.disconnect();
    // Results of the moment in between are lost as the contract says; those after it come.
    await until(async () => {
      await queue.enqueue(digest('a'), { again: true });
      return results.length > 0;
    });
  });

  it('says what is wrong with the Redis it talks to', async () => {
    const url = await start('--maxmemory-policy', 'allkeys-lru', '--appendonly', 'no');
    const queue = open(url);
    await connected(queue);
    const health = await queue.health();
    expect(health).toMatchObject({ reachable: true, evictionPolicy: 'allkeys-lru', appendOnly: false });
    expect(health.reasons).toHaveLength(2);
    expect(health.jobs).toEqual({ waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 });
  });
});
