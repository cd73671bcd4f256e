import { type Digest, OperationalError } from '@sluice/ports';
import {
  type ImportJob,
  type ImportQueue,
  jobIdOf,
  type JobResult,
  type JobStatus,
  type QueueHealth,
} from '@sluice/queue';
import { kernel, type Process, self } from './kernel.ts';

interface Job {
  readonly bundle: Digest;
  state: JobStatus['state'];
  attempts: number;
  receipt: string | undefined;
  /** When it may be taken: a wait, or the end of a lost worker's lock. */
  at: number;
}

const CALL_NS = 300_000;
const LOCK_NS = 15e9;

/** Redis and what BullMQ keeps in it: jobs that may be lost, results of which nobody may hear, no answer at all. */
export class SimulatedRedis {
  readonly jobs = new Map<Digest, Job>();
  up = true;
  paused = false;
  /** Probability that a call gets no answer. */
  stall = 0;
  /** Probability that the news of an end is lost. */
  deaf = 0;
  flushes = 0;
  forged = 0;
  readonly #listeners: { readonly process: Process; readonly listener: (result: JobResult) => void }[] = [];

  flush(): void {
    this.flushes += 1;
    this.jobs.clear();
    this.paused = false;
  }

  /** Somebody writes a result into Redis that no importer made. */
  forge(bundle: Digest, receipt: string): void {
    this.forged += 1;
    const job = this.jobs.get(bundle);
    if (job !== undefined && job.state !== 'completed') Object.assign(job, { state: 'completed', receipt });
    this.#tell({ bundle: jobIdOf(bundle), outcome: 'completed', receipt });
  }

  /** One call, which takes time and may fail. */
  call<T>(what: () => T): Promise<T> {
    const process = self();
    const world = kernel();
    return new Promise((resolve, reject) => {
      const stalls = world.random.chance(this.stall);
      world.after(stalls ? 5e9 : CALL_NS, process, () => {
        if (this.up && !stalls) resolve(what());
        else reject(new OperationalError('queue-unavailable', 'simulated', { retryable: true }));
      });
    });
  }

  listen(listener: (result: JobResult) => void): () => void {
    const entry = { process: self(), listener };
    this.#listeners.push(entry);
    return () => {
      this.#listeners.splice(this.#listeners.indexOf(entry), 1);
    };
  }

  /** The next job that may be done, locked. */
  take(): Job | undefined {
    if (this.paused) return undefined;
    const now = kernel().now;
    const job = [...this.jobs.values()].find(({ state, at }) => state !== 'completed' && at <= now);
    if (job === undefined) return undefined;
    Object.assign(job, { state: 'active', at: now + LOCK_NS });
    return job;
  }

  /** A job ended with this receipt; it counts if the job is there still. */
  complete(bundle: Digest, receipt: string): void {
    const job = this.jobs.get(bundle);
    if (job === undefined || job.state === 'completed') return;
    Object.assign(job, { state: 'completed', receipt });
    this.#tell({ bundle: jobIdOf(bundle), outcome: 'completed', receipt });
  }

  retry(bundle: Digest, waitMs: number): void {
    const job = this.jobs.get(bundle);
    if (job === undefined) return;
    Object.assign(job, { state: 'delayed', attempts: job.attempts + 1, at: kernel().now + waitMs * 1e6 });
  }

  #tell(result: JobResult): void {
    for (const { process, listener } of this.#listeners) {
      if (kernel().random.chance(this.deaf)) continue;
      kernel().after(CALL_NS, process, () => listener(result));
    }
  }
}

/** The sending end. */
export class SimulatedQueue implements ImportQueue {
  readonly #redis: SimulatedRedis;

  constructor(redis: SimulatedRedis) {
    this.#redis = redis;
  }

  enqueue(bundle: Digest, { again = false }: { readonly again?: boolean } = {}): Promise<'added' | 'present'> {
    return this.#redis.call(() => {
      const job = this.#redis.jobs.get(bundle);
      if (job !== undefined && (job.state !== 'completed' || !again)) return 'present';
      this.#redis.jobs.set(bundle, { bundle, state: 'waiting', attempts: 0, receipt: undefined, at: 0 });
      return 'added';
    });
  }

  status(bundle: Digest): Promise<JobStatus> {
    return this.#redis.call(() => {
      const job = this.#redis.jobs.get(bundle);
      if (job === undefined) return { state: 'absent', attempts: 0, receipt: undefined, reason: undefined };
      return { state: job.state, attempts: job.attempts, receipt: job.receipt, reason: undefined };
    });
  }

  remove(bundle: Digest): Promise<void> {
    return this.#redis.call(() => {
      if (this.#redis.jobs.get(bundle)?.state !== 'active') this.#redis.jobs.delete(bundle);
    });
  }

  hurry(bundle: Digest): Promise<boolean> {
    return this.#redis.call(() => {
      const job = this.#redis.jobs.get(bundle);
      if (job?.state !== 'delayed') return false;
      job.at = kernel().now;
      return true;
    });
  }

  pause(paused: boolean): Promise<void> {
    return this.#redis.call(() => {
      this.#redis.paused = paused;
    });
  }

  onResult(listener: (result: JobResult) => void): () => void {
    return this.#redis.listen(listener);
  }

  health(): Promise<QueueHealth> {
    const nothing = { pingMs: undefined, evictionPolicy: undefined, appendOnly: undefined, jobs: undefined };
    return Promise.resolve({ reachable: this.#redis.up, ...nothing, reasons: [] });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface WorkerParts {
  readonly redis: SimulatedRedis;
  readonly handle: (job: ImportJob) => Promise<string>;
  readonly pace: (error: unknown, attempts: number) => number;
}

const POLL_MS = 300;

/** The working end: one job at a time. */
export function startSimulatedWorker({ redis, handle, pace }: WorkerParts): void {
  let busy = false;
  const work = async (): Promise<void> => {
    const job = await redis.call(() => redis.take());
    if (job === undefined) return;
    const { bundle, attempts } = job;
    try {
      const receipt = await handle({ id: jobIdOf(bundle), bundle, attempt: attempts + 1 });
      await redis.call(() => redis.complete(bundle, receipt));
    } catch (error) {
      const wait = pace(error, attempts + 1);
      await redis.call(() => redis.retry(bundle, wait));
    }
  };
  setInterval(() => {
    if (busy) return;
    busy = true;
    work()
      // Redis is away: the lock of the job runs out.
      .catch((error: unknown) => {
        if (!(error instanceof OperationalError)) throw error;
      })
      .finally(() => {
        busy = false;
      });
  }, POLL_MS);
}
