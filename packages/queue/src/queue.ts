import { setTimeout as delay } from 'node:timers/promises';
import { Queue, QueueEvents } from 'bullmq';
import type { Redis } from 'ioredis';
import { OperationalError, type Digest } from '@sluice/ports';
import { addressOf, connect, type RedisOptions } from './connection.ts';
import { ATTEMPTS, FINISHED_JOBS, jobIdOf, QUEUE_NAME, QUEUE_TIMEOUT_MS } from './limits.ts';

export interface QueueOptions {
  readonly redis: RedisOptions;
  readonly name?: string;
  readonly timeoutMs?: number;
  /** Connection trouble, told as it happens; reconnecting goes on by itself. */
  readonly onError?: (error: Error) => void;
}

export interface JobStatus {
  readonly state: 'absent' | 'waiting' | 'active' | 'delayed' | 'completed' | 'failed';
  /** Attempts so far. */
  readonly attempts: number;
  /** What the handler returned: a receipt envelope's text. */
  readonly receipt: string | undefined;
  /** Why the last attempt failed. */
  readonly reason: string | undefined;
}

export type JobResult =
  | { readonly bundle: string; readonly outcome: 'completed'; readonly receipt: string }
  | { readonly bundle: string; readonly outcome: 'failed'; readonly reason: string };

export interface QueueHealth {
  readonly reachable: boolean;
  readonly pingMs: number | undefined;
  readonly evictionPolicy: string | undefined;
  readonly appendOnly: boolean | undefined;
  /** Jobs by state. */
  readonly jobs: Readonly<Record<'waiting' | 'active' | 'delayed' | 'completed' | 'failed', number>> | undefined;
  /** What is not as it should be, one sentence each. */
  readonly reasons: readonly string[];
}

/** The sending end of the import queue. Redis may be absent at any time: calls then throw `queue-unavailable` (retryable) in bounded time. */
export interface ImportQueue {
  /** Adds the job of a bundle; `again` removes a finished one of the same bundle first. A job that is under way is left alone. */
  enqueue(bundle: Digest, options?: { readonly again?: boolean }): Promise<'added' | 'present'>;
  status(bundle: Digest): Promise<JobStatus>;
  /** Takes a job out that no worker has in hand; one that is in hand ends as it ends. */
  remove(bundle: Digest): Promise<void>;
  /** A job that waits for its next attempt is tried now. False when it does not wait. */
  hurry(bundle: Digest): Promise<boolean>;
  /** Whether workers take jobs. Redis forgets it when it loses its data: say it again. */
  pause(paused: boolean): Promise<void>;
  /** Jobs that ended from now on. Events are lost while Redis is away: ask `status` for what matters. Returns its own undoing. */
  onResult(listener: (result: JobResult) => void): () => void;
  /** Never throws. */
  health(): Promise<QueueHealth>;
  close(): Promise<void>;
}

const LISTEN_AGAIN_MS = 1000;

const STATES: Readonly<Record<string, JobStatus['state']>> = {
  unknown: 'absent',
  completed: 'completed',
  failed: 'failed',
  delayed: 'delayed',
  active: 'active',
};

class BullQueue implements ImportQueue {
  readonly #options: QueueOptions;
  readonly #client: Redis;
  readonly #eventsClient: Redis;
  readonly #queue: Queue;
  readonly #events: QueueEvents;
  readonly #timeoutMs: number;
  readonly #closing = new AbortController();

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? QUEUE_TIMEOUT_MS;
    const onError = options.onError ?? ((): undefined => undefined);
    const name = options.name ?? QUEUE_NAME;
    this.#client = connect(options.redis, onError);
    this.#eventsClient = connect(options.redis, onError);
    this.#queue = new Queue(name, { connection: this.#client, skipVersionCheck: true, skipWaitingForReady: true });
    this.#events = new QueueEvents(name, { connection: this.#eventsClient, skipVersionCheck: true, autorun: false });
    this.#queue.on('error', onError);
    this.#events.on('error', onError);
    void this.#listen(onError);
  }

  /** BullMQ stops reading events at the first one it cannot make sense of; we go on. */
  async #listen(onError: (error: Error) => void): Promise<void> {
    while (!this.#closing.signal.aborted) {
      await this.#events.run().catch((error: unknown) => {
        onError(error instanceof Error ? error : new Error(String(error)));
      });
      await delay(LISTEN_AGAIN_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  async enqueue(bundle: Digest, options: { readonly again?: boolean } = {}): Promise<'added' | 'present'> {
    const jobId = jobIdOf(bundle);
    const { state } = await this.status(bundle);
    if (state === 'completed' || state === 'failed') {
      if (options.again !== true) return 'present';
      await this.#bounded(() => this.#queue.remove(jobId));
    } else if (state !== 'absent') return 'present';
    const keep = { count: FINISHED_JOBS };
    // One stack trace a job: it may be tried for years.
    const job = {
      jobId,
      stackTraceLimit: 1,
      attempts: ATTEMPTS,
      backoff: { type: 'paced' },
      removeOnComplete: keep,
      removeOnFail: keep,
    };
    await this.#bounded(() => this.#queue.add('import', { bundle }, job));
    return 'added';
  }

  async status(bundle: Digest): Promise<JobStatus> {
    const jobId = jobIdOf(bundle);
    const job = await this.#bounded(() => this.#queue.getJob(jobId));
    if (job === undefined) return { state: 'absent', attempts: 0, receipt: undefined, reason: undefined };
    const state = STATES[await this.#bounded(() => job.getState())] ?? 'waiting';
    const value: unknown = job.returnvalue;
    const receipt = state === 'completed' && typeof value === 'string' ? value : undefined;
    const reason = typeof job.failedReason === 'string' && job.failedReason !== '' ? job.failedReason : undefined;
    return { state, attempts: job.attemptsMade, receipt, reason };
  }

  async remove(bundle: Digest): Promise<void> {
    const { state } = await this.status(bundle);
    if (state !== 'absent' && state !== 'active') await this.#bounded(() => this.#queue.remove(jobIdOf(bundle)));
  }

  async hurry(bundle: Digest): Promise<boolean> {
    const job = await this.#bounded(() => this.#queue.getJob(jobIdOf(bundle)));
    if (job === undefined || (await this.#bounded(() => job.getState())) !== 'delayed') return false;
    await this.#bounded(() => job.promote());
    return true;
  }

  async pause(paused: boolean): Promise<void> {
    if ((await this.#bounded(() => this.#queue.isPaused())) === paused) return;
    await this.#bounded(() => (paused ? this.#queue.pause() : this.#queue.resume()));
  }

  onResult(listener: (result: JobResult) => void): () => void {
    const completed = ({ jobId, returnvalue }: { jobId: string; returnvalue: unknown }): void => {
      if (typeof returnvalue === 'string') listener({ bundle: jobId, outcome: 'completed', receipt: returnvalue });
    };
    const failed = ({ jobId, failedReason }: { jobId: string; failedReason: string }): void => {
      listener({ bundle: jobId, outcome: 'failed', reason: failedReason });
    };
    this.#events.on('completed', completed);
    this.#events.on('failed', failed);
    return () => {
      this.#events.off('completed', completed);
      this.#events.off('failed', failed);
    };
  }

  async health(): Promise<QueueHealth> {
    const started = performance.now();
    try {
      await this.#bounded(() => this.#client.ping());
      const pingMs = performance.now() - started;
      const info = await this.#bounded(() => this.#client.info('memory', 'persistence'));
      const evictionPolicy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
      const append = /^aof_enabled:([01])/m.exec(info)?.[1];
      const appendOnly = append === undefined ? undefined : append === '1';
      const counts = await this.#bounded(() => this.#queue.getJobCounts());
      const count = (state: string): number => counts[state] ?? 0;
      const jobs = {
        waiting: count('waiting') + count('prioritized') + count('paused'),
        active: count('active'),
        delayed: count('delayed'),
        completed: count('completed'),
        failed: count('failed'),
      };
      return {
        reachable: true,
        pingMs,
        evictionPolicy,
        appendOnly,
        jobs,
        reasons: reasonsOf(evictionPolicy, appendOnly),
      };
    } catch (error) {
      if (!(error instanceof OperationalError)) throw error;
      const nothing = { pingMs: undefined, evictionPolicy: undefined, appendOnly: undefined, jobs: undefined };
      return { reachable: false, ...nothing, reasons: [error.message] };
    }
  }

  async close(): Promise<void> {
    // Disconnecting first makes every pending call end, so closing is quick with Redis away too. What QueueEvents waits for in its
    // own closing never comes then; it is only told to end its loop.
    this.#closing.abort();
    this.#client.disconnect();
    this.#eventsClient.disconnect();
    void this.#events.close().catch(this.#options.onError);
    await this.#queue.close();
  }

  /** One call to Redis. Not even begun while there is no connection: what waits there would pile up. */
  async #bounded<T>(call: () => Promise<T>): Promise<T> {
    if (this.#client.status !== 'ready') throw this.#unavailable('is not connected');
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(this.#unavailable(`gave no answer within ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    try {
      return await Promise.race([call(), late]);
    } catch (error) {
      if (error instanceof OperationalError) throw error;
      throw this.#unavailable('failed', error);
    } finally {
      clearTimeout(timer);
    }
  }

  #unavailable(what: string, cause?: unknown): OperationalError {
    const why = cause instanceof Error ? ` (${cause.message.slice(0, 200)})` : '';
    const text = `Redis at ${addressOf(this.#options.redis.url)} ${what}${why}; the job is queued as soon as it is back`;
    return new OperationalError('queue-unavailable', text, { retryable: true, cause });
  }
}

function reasonsOf(evictionPolicy: string | undefined, appendOnly: boolean | undefined): string[] {
  const reasons: string[] = [];
  if (evictionPolicy !== undefined && evictionPolicy !== 'noeviction') {
    reasons.push(`Redis may evict jobs (maxmemory-policy ${evictionPolicy}); set it to noeviction.`);
  }
  if (appendOnly === false)
    reasons.push('Redis keeps no append-only file; set appendonly yes, or jobs are lost at its restart.');
  return reasons;
}

/** Opens the sending end; returns at once, connected or not. */
export const openQueue = (options: QueueOptions): ImportQueue => new BullQueue(options);
