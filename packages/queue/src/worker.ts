import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Digest } from '@sluice/ports';
import { connect } from './connection.ts';
import { bundleOf, FINISHED_JOBS, QUEUE_NAME, RECEIPT_LIMIT } from './limits.ts';
import type { QueueOptions } from './queue.ts';

/** What a job brings. Redis is not trusted: nothing here is more than a hint which bundle to look at. */
export interface ImportJob {
  /** As found in Redis; hostile. */
  readonly id: string;
  /** The bundle that id and data agree on; undefined when they do not, or are malformed. */
  readonly bundle: Digest | undefined;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

export interface WorkerOptions extends QueueOptions {
  /** Does the job and returns its receipt; what it throws is tried again after `pace`. */
  readonly handle: (job: ImportJob) => Promise<string>;
  /** Wait before the next attempt in milliseconds, by the error and the number of attempts made. */
  readonly pace: (error: unknown, attempts: number) => number;
  /** Jobs at once (default 1). */
  readonly concurrency?: number;
  /** A worker that died loses its job after this long. */
  readonly lockMs?: number;
}

export interface ImportWorker {
  /** Connected to Redis right now. */
  connected(): boolean;
  /** Jobs being worked on. */
  active(): number;
  /** Takes no new job, waits for the one in hand at most `graceMs`, and disconnects. An unfinished job is taken up by the next worker. */
  close(graceMs: number): Promise<void>;
}

const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5000;
const RUN_RETRY_MS = 1000;
/** A worker killed again and again must not use a job up. */
const STALLS = 2 ** 31 - 1;

class BullWorker implements ImportWorker {
  readonly #client: Redis;
  readonly #worker: Worker;
  #active = 0;

  constructor(options: WorkerOptions) {
    const onError = options.onError ?? ((): undefined => undefined);
    this.#client = connect(options.redis, onError);
    const lockDuration = options.lockMs ?? LOCK_MS;
    this.#worker = new Worker<unknown, string>(
      options.name ?? QUEUE_NAME,
      async (job) => {
        this.#active += 1;
        try {
          return bounded(await options.handle(read(job.id, job.data, job.attemptsMade)));
        } finally {
          this.#active -= 1;
        }
      },
      {
        connection: this.#client,
        skipVersionCheck: true,
        concurrency: options.concurrency ?? 1,
        lockDuration,
        stalledInterval: Math.min(STALLED_CHECK_MS, lockDuration),
        maxStalledCount: STALLS,
        runRetryDelay: RUN_RETRY_MS,
        removeOnComplete: { count: FINISHED_JOBS },
        removeOnFail: { count: FINISHED_JOBS },
        settings: { backoffStrategy: (attempts, _type, error) => Math.ceil(options.pace(error, attempts)) },
      },
    );
    this.#worker.on('error', onError);
  }

  connected(): boolean {
    return this.#client.status === 'ready';
  }

  active(): number {
    return this.#active;
  }

  async close(graceMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => {
      resolve(undefined);
    }, graceMs);
    const reachable = this.connected();
    if (reachable) await Promise.race([this.#worker.close(), late]);
    clearTimeout(timer);
    this.#client.disconnect();
    if (!reachable) await this.#worker.close(true);
  }
}

function read(id: string | undefined, data: unknown, attemptsMade: number): ImportJob {
  const named = bundleOf(id ?? '');
  const told: unknown = (data as { bundle?: unknown } | null | undefined)?.bundle;
  return { id: id ?? '', bundle: named !== undefined && named === told ? named : undefined, attempt: attemptsMade + 1 };
}

function bounded(receipt: string): string {
  if (receipt.length > RECEIPT_LIMIT)
    throw new Error(`a receipt of ${receipt.length} characters is over ${RECEIPT_LIMIT}`);
  return receipt;
}

/** Starts a worker; returns at once, connected or not. */
export const startWorker = (options: WorkerOptions): ImportWorker => new BullWorker(options);
