import type { Logger } from '@sluice/base';
import type { Metrics } from '@sluice/chassis';
import { BUNDLE_CODES, type Digest, IMPORT_CODES, OperationalError, type RegistryCode } from '@sluice/ports';
import type { ImportJob } from '@sluice/queue';
import type { FailureClass } from '@sluice/registry';
import { type ImportEvent, importBundle, type ImportOutcome, type ImportPorts, type RefusalCode } from './pipeline.ts';
import { classOf } from './retry.ts';
import { isUnread, storeAfter } from './unreadable.ts';

/** Bundles whose waiting is remembered; the oldest are forgotten, the queue is not. */
const WAITING_SHOWN = 256;

/** What is once in a bundle, or a few times. */
const STAGES: ReadonlySet<ImportEvent['stop']> = new Set(['statements', 'project', 'replication']);

/** A bundle that waits for its next attempt. */
export interface Waiting {
  readonly bundle: Digest;
  readonly attempts: number;
  readonly code: string;
  readonly class: FailureClass;
  readonly reason: string;
  /** Attempts in a row, up to the last, in which the disk of the store could not read. */
  readonly unread: number;
}

/** A bundle in work: where it is. */
export interface Active {
  readonly bundle: Digest;
  readonly attempt: number;
  stop: string;
}

export interface JobParts {
  readonly ports: Omit<ImportPorts, 'onEvent'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Does the jobs of the queue, and remembers for status and metrics how they went. */
export class Jobs {
  readonly #parts: JobParts;
  readonly #waiting = new Map<Digest, Waiting>();
  readonly #active = new Map<Digest, Active>();
  readonly #results: ReturnType<typeof countersOf>;
  #movedAt = performance.now();

  constructor(parts: JobParts) {
    this.#parts = parts;
    this.#results = countersOf(parts.metrics, this);
  }

  get waiting(): readonly Waiting[] {
    return [...this.#waiting.values()];
  }
  get active(): readonly Active[] {
    return [...this.#active.values()];
  }
  /** Milliseconds since anything last moved, 0 when there is nothing to do. */
  get stillMs(): number {
    return this.#active.size === 0 ? 0 : performance.now() - this.#movedAt;
  }

  /** Handler of the queue: the receipt's text, or `refused CODE` where there is no bundle to write a receipt about. */
  async handle(job: ImportJob): Promise<string> {
    const { bundle, attempt } = job;
    if (bundle === undefined) {
      this.#alarm('job-malformed', { job: job.id }, 'a job in the queue names no bundle; somebody writes into Redis');
      return 'refused job-malformed';
    }
    const active: Active = { bundle, attempt, stop: 'begin' };
    this.#active.set(bundle, active);
    this.#movedAt = performance.now();
    const log = this.#parts.logger.child({ bundle, attempt });
    try {
      const store = storeAfter(this.#waiting.get(bundle)?.unread ?? 0, this.#parts.ports.store);
      const ports = { ...this.#parts.ports, store, onEvent: (event: ImportEvent) => this.#event(event, active, log) };
      const outcome = await importBundle(ports, bundle);
      this.#waiting.delete(bundle);
      return this.#ended(outcome, log, bundle);
    } catch (error) {
      this.#failed(error, job, bundle, log);
      throw error;
    } finally {
      this.#active.delete(bundle);
    }
  }

  #ended(outcome: ImportOutcome, log: Logger, bundle: Digest): string {
    this.#results.results.inc({ result: outcome.result });
    switch (outcome.result) {
      case 'imported':
        log.info('imported');
        return outcome.receipt;
      case 'refused':
        this.#alarm(
          outcome.code,
          { bundle, detail: outcome.detail },
          'the bundle is refused, nothing of it is named anywhere',
        );
        return outcome.receipt ?? `refused ${outcome.code}`;
      case 'failed':
        this.#alarm(
          outcome.code,
          { bundle, detail: outcome.detail },
          'the bundle cannot be imported, trying again would not help',
        );
        return outcome.receipt;
    }
  }

  #failed(error: unknown, { attempt }: ImportJob, bundle: Digest, log: Logger): void {
    const failureClass = classOf(error);
    if (failureClass === undefined || !(error instanceof OperationalError)) {
      // Our own mistake: not a state we designed, so the process ends and systemd begins again; the job is not lost.
      queueMicrotask(() => {
        throw error;
      });
      return;
    }
    const { code, message } = error;
    this.#results.retries.inc({ class: failureClass });
    const unread = isUnread(error) ? (this.#waiting.get(bundle)?.unread ?? 0) + 1 : 0;
    this.#waiting.delete(bundle);
    this.#waiting.set(bundle, { bundle, attempts: attempt, code, class: failureClass, reason: message, unread });
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > WAITING_SHOWN && oldest !== undefined) this.#waiting.delete(oldest);
    if (failureClass === 'operator') log.error({ code, err: error }, 'the import waits for an operator');
    else log.warn({ code, err: error }, 'the import is tried again');
  }

  #event(event: ImportEvent, active: Active, log: Logger): void {
    this.#movedAt = performance.now();
    if (event.stop === 'bytes') {
      this.#results.bytes.inc(event.bytes);
      return;
    }
    active.stop = event.stop;
    if (event.stop === 'blob') this.#results.blobs.inc({ how: event.how });
    if (STAGES.has(event.stop)) log.info({ ...event }, `import: ${event.stop}`);
    // Of each blob, artifact and tag there is one, of a bundle thousands.
    else log.debug({ ...event }, `import: ${event.stop}`);
  }

  #alarm(code: RefusalCode | RegistryCode, fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#results.alarms.inc({ code });
    this.#parts.logger.error({ ...fields, alarm: code, code }, message);
  }
}

/** Labels come from closed sets: codes, results and classes of our own. */
function countersOf(metrics: Metrics, jobs: Jobs) {
  metrics.gauge({
    name: 'sluice_importer_waiting',
    help: 'Bundles that wait for another attempt, by what they wait for.',
    labels: ['class'],
    collect: (gauge) => {
      for (const kind of ['transient', 'operator'] as const) {
        gauge.set({ class: kind }, jobs.waiting.filter((each) => each.class === kind).length);
      }
    },
  });
  const counter = <L extends string>(name: string, help: string, labels: readonly L[]) =>
    metrics.counter({ name: `sluice_importer_${name}_total`, help, labels });
  const alarms = counter('alarms', 'Alarms raised, by code.', ['code']);
  // A series that begins with its first count has grown by nothing, says Prometheus.
  for (const code of [...IMPORT_CODES, ...BUNDLE_CODES]) alarms.inc({ code }, 0);
  return {
    alarms,
    results: counter('results', 'Jobs that ended, by result.', ['result']),
    retries: counter('retries', 'Attempts that failed and are made again, by class.', ['class']),
    blobs: counter('blobs', 'Blobs of imports, by how they came there.', ['how']),
    bytes: counter('bytes', 'Bytes read from the store and sent.', []),
  };
}
