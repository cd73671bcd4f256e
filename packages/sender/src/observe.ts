import type { Health, Metrics } from '@sluice/chassis';
import type { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import type { SenderConfig } from './config.ts';
import type { FromTransmit, TransmitStatus } from './transmit/messages.ts';

/** The transmit worker says how it is every second; this much silence means that it hangs. */
const WORKER_SILENT_MS = 10_000;

/** What the transmit worker last said, and what was refused. */
export class Telemetry {
  #status: TransmitStatus | undefined;
  #heardAt = performance.now();
  #io: { readonly io: string; readonly why: string } | undefined;
  readonly #progress = new Map<string, { readonly sentBytes: number; readonly totalBytes: number }>();
  readonly refusals = new Map<string, number>();
  failedPasses = 0;

  hear(message: FromTransmit): void {
    this.#heardAt = performance.now();
    if (message.type === 'status') this.#status = message.status;
    else if (message.type === 'ready') this.#io = message;
    else if (message.type === 'progress') this.#progress.set(message.bundle, message);
    else if (message.type === 'pass-done') this.#progress.delete(message.bundle);
    else if (message.type === 'pass-failed') this.failedPasses += 1;
  }

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  get status(): TransmitStatus | undefined {
    return this.#status;
  }

  get io(): unknown {
    return this.#io;
  }

  get pending(): number {
    return this.#status?.pending ?? 0;
  }

  get silentMs(): number {
    return performance.now() - this.#heardAt;
  }

  get workerAlive(): boolean {
    return this.silentMs < WORKER_SILENT_MS;
  }

  progressOf(bundle: Digest): { readonly sentBytes: number; readonly totalBytes: number } | undefined {
    const progress = this.#progress.get(bundle);
    return progress === undefined ? undefined : { sentBytes: progress.sentBytes, totalBytes: progress.totalBytes };
  }
}

export interface Observed {
  readonly config: SenderConfig;
  readonly ledger: SenderLedger;
  readonly telemetry: Telemetry;
  readonly configDigest: Digest;
}

/** The sender can say what it has sent. Whether it arrived, it cannot know. */
export function statusOf({ config, ledger, telemetry, configDigest }: Observed): unknown {
  return {
    config: configDigest,
    link: {
      ...(telemetry.io as object | undefined),
      to: `${config.link.host}:${String(config.link.port)}`,
      rate: config.link.rate,
      fec: config.link.fec,
    },
    transmit: telemetry.status,
    channels: config.channels.map(({ name }) => ({ name, ...ledger.head(name) })),
    unfinished: ledger.unfinishedCount(),
    refused: Object.fromEntries(telemetry.refusals),
  };
}

export function addChecks(health: Health, { telemetry }: Observed): void {
  health.add({
    name: 'transmit:worker',
    gates: 'live',
    check: () => {
      const seen = { observedValue: Math.round(telemetry.silentMs), observedUnit: 'ms', threshold: WORKER_SILENT_MS };
      return telemetry.workerAlive
        ? { status: 'pass', ...seen }
        : { status: 'fail', ...seen, output: 'the transmit worker hangs; the service must be restarted' };
    },
  });
  health.add({
    name: 'transmit:errors',
    check: () => {
      const seen = { observedValue: telemetry.status?.sendErrors ?? 0, observedUnit: 'refused sends' };
      const refusal = telemetry.status?.refusal;
      if (refusal !== undefined) return { status: 'fail', ...seen, output: refusal };
      if (telemetry.failedPasses === 0) return { status: 'pass', ...seen };
      return {
        status: 'warn',
        ...seen,
        output: `${String(telemetry.failedPasses)} passes failed; the log says why, a restart tries them again`,
      };
    },
  });
  health.add({
    name: 'transmit:queue',
    check: () => ({ status: 'pass', observedValue: telemetry.pending, observedUnit: 'passes' }),
  });
}

const COUNTERS = ['datagrams', 'sourceSymbols', 'repairSymbols', 'fdtDatagrams', 'heartbeats'] as const;

export function addMetrics(metrics: Metrics, { ledger, telemetry, config }: Observed): void {
  metrics.gauge({
    name: 'sluice_sender_sent',
    help: 'What has left since the transmit worker started: datagrams, symbols, FDT datagrams, heartbeats.',
    labels: ['what'],
    collect: (gauge) => {
      const counters = telemetry.status?.counters;
      for (const what of COUNTERS) gauge.set({ what }, counters?.[what] ?? 0);
    },
  });
  metrics.gauge({
    name: 'sluice_sender_stalled_seconds',
    help: 'Airtime lost because the sender came late, since the worker started.',
    collect: (gauge) => {
      gauge.set((telemetry.status?.stalledNs ?? 0) / 1e9);
    },
  });
  metrics.gauge({
    name: 'sluice_sender_sequence',
    help: 'Last sequence number sealed.',
    labels: ['channel'],
    collect: (gauge) => {
      for (const { name: channel } of config.channels) gauge.set({ channel }, ledger.head(channel).sequence);
    },
  });
  metrics.gauge({
    name: 'sluice_sender_unfinished_bundles',
    help: 'Bundles with passes to go.',
    collect: (gauge) => {
      gauge.set(ledger.unfinishedCount());
    },
  });
  metrics.gauge({
    name: 'sluice_sender_refused_inputs',
    help: 'Inputs refused since the start, by code.',
    labels: ['code'],
    collect: (gauge) => {
      for (const [code, count] of telemetry.refusals) gauge.set({ code }, count);
    },
  });
}
