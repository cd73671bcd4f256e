import { statfsSync } from 'node:fs';
import {
  diskCheck,
  type Health,
  type HealthCheck,
  History,
  type Metrics,
  type Rates,
  type RefusalView,
  REFUSALS_SHOWN,
} from '@sluice/chassis';
import type { SenderLedger } from '@sluice/ledger';
import { BUNDLE_CODES, type Digest, hostile, jsonText, metricLabel, type SenderFault } from '@sluice/ports';
import type { PassKind } from '@sluice/transfer';
import type { SenderConfig } from './config.ts';
import type { FromTransmit, TransmitStatus } from './transmit/messages.ts';

/** The transmit worker says how it is every second; this much silence means that it hangs. */
const WORKER_SILENT_MS = 10_000;

/** Seconds of which the rates are known. */
const HISTORY_STEPS = 300;
/** Bytes on the fibre around an encoding symbol: ALC header 44, UDP 8, IPv4 20, Ethernet 38 with gap and preamble. */
const AROUND_SYMBOL = 110;
/** Longest reason of a refusal that is shown. */
const DETAIL_MAX = 2048;

/** How far a pass is. */
export interface Moving {
  readonly kind: PassKind;
  readonly sentBytes: number;
  readonly totalBytes: number;
}

/** What the transmit worker last said, and what was refused. */
export class Telemetry {
  #status: TransmitStatus | undefined;
  #heardAt = performance.now();
  #io: { readonly io: string; readonly why: string } | undefined;
  readonly #progress = new Map<string, Moving>();
  /** Passes that were handed to the worker and have not ended: by bundle, how many. */
  readonly #posted = new Map<string, number>();
  readonly refusals = new Map<string, number>();
  failedPasses = 0;
  readonly #history = new History(1, HISTORY_STEPS);
  #refusals: readonly RefusalView[] = [];

  hear(message: FromTransmit): void {
    this.#heardAt = performance.now();
    if (message.type === 'status') {
      this.#status = message.status;
      this.#history.sample([message.status.counters.datagrams]);
    } else if (message.type === 'ready') this.#io = message;
    else if (message.type === 'progress') this.#progress.set(message.bundle, message);
    else if (message.type === 'pass-done') this.#ended(message.bundle);
    else if (message.type === 'pass-failed') {
      this.#ended(message.bundle);
      this.failedPasses += 1;
    }
  }

  /** A pass of a bundle is handed to the worker, where it may wait for others. */
  posted(bundle: string): void {
    this.#posted.set(bundle, (this.#posted.get(bundle) ?? 0) + 1);
  }

  #ended(bundle: string): void {
    this.#progress.delete(bundle);
    const left = (this.#posted.get(bundle) ?? 0) - 1;
    if (left > 0) this.#posted.set(bundle, left);
    else this.#posted.delete(bundle);
  }

  /** Bundles of which something leaves, or waits to leave. */
  get underWay(): Iterable<string> {
    return this.#posted.keys();
  }

  /** An input of a channel was refused. */
  refused(channel: string, input: string, code: string, detail: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    const refusal = {
      time: new Date().toISOString(),
      what: jsonText(hostile(`${channel} ${input}`)),
      code,
      detail: jsonText(hostile(detail, DETAIL_MAX)),
    };
    this.#refusals = [refusal, ...this.#refusals].slice(0, REFUSALS_SHOWN);
  }

  /** Latest first, since the start. */
  get recentRefusals(): readonly RefusalView[] {
    return this.#refusals;
  }

  /** What has left, second by second. Nobody here knows what was lost. */
  rates(symbolBytes: number): Rates {
    const carried = this.#history.series(0).map((each) => each * (symbolBytes + AROUND_SYMBOL) * 8);
    return { stepSeconds: 1, unit: 'bit/s', carried, lost: [] };
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

  /** Passes that are leaving, of whatever kind: by bundle. */
  get moving(): ReadonlyMap<string, Moving> {
    return this.#progress;
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

/** What is wrong here, for the heartbeat: the only way in which the other side hears of it. */
export function faultsOf({ config, ledger, telemetry }: Omit<Observed, 'configDigest'>): readonly SenderFault[] {
  const since = ledger.waitingSince() ?? Date.now();
  return [
    ...(telemetry.status?.refusal === undefined ? [] : ['send-refused' as const]),
    ...(telemetry.failedPasses === 0 ? [] : ['pass-failed' as const]),
    ...(roomBelow(config.stateDirectory) >= config.health.diskFree ? [] : ['disk-low' as const]),
    ...(Date.now() - since <= config.health.queueAge ? [] : ['queue-old' as const]),
  ];
}

/** Bytes free; none where nobody can say. */
function roomBelow(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

/** A restored ledger does not know of the numbers that were given since. */
const restored = (ledger: SenderLedger): HealthCheck => ({
  name: 'ledger:restored',
  gates: 'ready',
  check: () => {
    const channels = ledger.heads.unconfirmed();
    const seen = { observedValue: channels.length, observedUnit: 'channels', threshold: 0 };
    if (channels.length === 0) return { status: 'pass', ...seen };
    const output = `the ledger was restored; inputs of ${channels.join(', ')} wait until you tell how far their numbers went: the receiver's page and health name the command`;
    return { status: 'fail', ...seen, output };
  },
});

export function addChecks(health: Health, { config, ledger, telemetry }: Observed): void {
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
  health.add(restored(ledger));
  health.add({
    name: 'transmit:queue',
    check: () => ({ status: 'pass', observedValue: telemetry.pending, observedUnit: 'passes' }),
  });
  health.add({
    name: 'queue:age',
    check: () => {
      const since = ledger.waitingSince();
      const age = since === undefined ? 0 : Math.max(0, Date.now() - since);
      const threshold = Math.round(config.health.queueAge / 1000);
      const seen = { observedValue: Math.round(age / 1000), observedUnit: 's', threshold };
      const output =
        'the first pass of a sealed bundle has not ended after this long; is the rate too low, or does nothing leave?';
      return age > config.health.queueAge ? { status: 'warn', ...seen, output } : { status: 'pass', ...seen };
    },
  });
  health.add({
    name: 'inputs:refused',
    check: () => {
      const [latest] = telemetry.recentRefusals;
      const total = [...telemetry.refusals.values()].reduce((sum, each) => sum + each, 0);
      const seen = { observedValue: total, observedUnit: 'inputs', threshold: 0 };
      if (latest === undefined) return { status: 'pass', ...seen };
      return {
        status: 'warn',
        ...seen,
        output: `the latest is ${latest.what}: ${latest.code}; refused/ has the reasons`,
      };
    },
  });
  health.add(diskCheck('state', config.stateDirectory, config.health.diskFree));
}

/** What the transmit worker counts from its start, as Prometheus sees it. */
const SENT = [
  ['sluice_sender_datagrams_total', 'Datagrams that left.', 'datagrams'],
  ['sluice_sender_fdt_datagrams_total', 'Of these, datagrams of FDTs.', 'fdtDatagrams'],
  ['sluice_sender_heartbeats_total', 'Heartbeats that left.', 'heartbeats'],
  ['sluice_sender_source_symbols_total', 'Source symbols that left.', 'sourceSymbols'],
  ['sluice_sender_repair_symbols_total', 'Repair symbols that left.', 'repairSymbols'],
] as const;

export function addMetrics(metrics: Metrics, { ledger, telemetry, config }: Observed): void {
  for (const [name, help, what] of SENT) {
    metrics.counter({ name, help, collect: (counter) => counter.inc(telemetry.status?.counters[what] ?? 0) });
  }
  metrics.counter({
    name: 'sluice_sender_stalled_seconds_total',
    help: 'Airtime lost because the sender came late, since the worker started.',
    collect: (counter) => counter.inc((telemetry.status?.stalledNs ?? 0) / 1e9),
  });
  metrics.counter({
    name: 'sluice_sender_failed_passes_total',
    help: 'Passes that failed since the start.',
    collect: (counter) => counter.inc(telemetry.failedPasses),
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
  metrics.counter({
    name: 'sluice_sender_refused_inputs_total',
    help: 'Inputs refused since the start, by code.',
    labels: ['code'],
    collect: (counter) => {
      // A series that begins with its first count has grown by nothing, says Prometheus.
      for (const code of BUNDLE_CODES) counter.inc({ code }, 0);
      for (const [code, count] of telemetry.refusals) counter.inc({ code: metricLabel(code, BUNDLE_CODES) }, count);
    },
  });
}
