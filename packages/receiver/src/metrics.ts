import type { Metrics } from '@sluice/chassis';
import { BUNDLE_STATES, type ReceiverLedger } from '@sluice/ledger';
import { DATAGRAM_CODES, metricLabel } from '@sluice/ports';
import { addCanaryMetrics, type Canary } from './canary.ts';
import type { CheckParts } from './checks.ts';
import type { LinkState } from './link-state.ts';
import type { MissingBundles } from './missing.ts';

export interface MetricParts {
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly channels: readonly string[];
  readonly missing: MissingBundles;
  readonly canary?: Canary | undefined;
  readonly keeper?: CheckParts['keeper'];
}

const VERDICTS = ['accepted', 'surplus', ...DATAGRAM_CODES] as const;

/** The numbers that link tells of itself, as Prometheus sees them. */
export const LINK_NUMBERS: Readonly<Record<string, readonly [name: string, help: string]>> = {
  lost: [
    'sluice_link_lost_datagrams',
    'Lost on the link since link started, by gaps; what comes late is taken off again.',
  ],
  worstPauseMs: ['sluice_link_worst_pause_seconds', 'Longest time lately in which link took nothing from the socket.'],
  kernelDrops: ['sluice_link_kernel_drops_total', 'Datagrams that the socket had no room for.'],
  blocks: ['sluice_link_blocks_total', 'Blocks that became whole.'],
  recoveredSymbols: ['sluice_link_recovered_symbols_total', 'Source symbols that were lost and computed.'],
  evictedSymbols: ['sluice_link_evicted_symbols_total', 'Symbols given up for want of memory.'],
  unknownToiDropped: [
    'sluice_link_unnamed_symbols_dropped_total',
    'Symbols dropped whose object no FDT named in time.',
  ],
  blockBytes: ['sluice_link_block_bytes', 'Memory held for blocks that are not whole.'],
  spoolBytes: ['sluice_link_spool_bytes', 'What the spool holds.'],
  spoolLimit: ['sluice_link_spool_limit_bytes', 'What the spool may hold.'],
  spoolRoom: ['sluice_link_spool_room_bytes', 'What may come into the spool yet, by its limit and its disk.'],
  spoolQueuedBytes: ['sluice_link_spool_queued_bytes', 'Blocks that wait to be written.'],
  chunkLogWritten: ['sluice_link_chunk_log_datagrams_total', 'Datagrams recorded in the chunk log.'],
  chunkLogDropped: ['sluice_link_chunk_log_dropped_datagrams_total', 'Datagrams that the chunk log had no room for.'],
};

/** What Prometheus sees of receiver and link. Labels come from closed sets only. */
export function addMetrics(metrics: Metrics, { ledger, link, channels, missing, canary, keeper }: MetricParts): void {
  addCanaryMetrics(metrics, canary);
  addReach(metrics, keeper);
  metrics.gauge({
    name: 'sluice_bundles',
    help: 'Bundles in the ledger, by state.',
    labels: ['state'],
    collect: (gauge) => {
      for (const state of BUNDLE_STATES) gauge.set({ state }, ledger.count(state));
    },
  });
  metrics.gauge({
    name: 'sluice_bundles_missing',
    help: 'Sequence numbers known of, by statement or heartbeat, whose bundle has not arrived.',
    labels: ['channel'],
    collect: (gauge) => {
      for (const channel of channels) gauge.set({ channel }, missing.of(channel).length);
    },
  });
  metrics.gauge({
    name: 'sluice_link_heartbeat_age_seconds',
    help: 'Time since the last authentic heartbeat.',
    labels: ['channel'],
    collect: (gauge) => {
      for (const channel of channels) {
        const age = link.heartbeatAge(channel);
        if (age !== undefined) gauge.set({ channel }, age / 1000);
      }
    },
  });
  metrics.counter({
    name: 'sluice_link_datagrams_total',
    help: 'Datagrams since link started, by verdict.',
    labels: ['verdict'],
    collect: (counter) => {
      // A series that begins with its first count has grown by nothing, says Prometheus.
      for (const verdict of VERDICTS) counter.inc({ verdict }, 0);
      for (const [verdict, count] of Object.entries(link.verdicts)) {
        counter.inc({ verdict: metricLabel(verdict, VERDICTS) }, count);
      }
    },
  });
  metrics.counter({
    name: 'sluice_link_key_datagrams_total',
    help: 'Authentic datagrams since link started, by channel and key.',
    labels: ['channel', 'asid'],
    collect: (counter) => {
      for (const { channel, asid, datagrams } of link.keys) {
        if (channels.includes(channel)) counter.inc({ channel, asid: String(asid) }, datagrams);
      }
    },
  });
  for (const [number, [name, help]] of Object.entries(LINK_NUMBERS)) {
    const unit = name.endsWith('_seconds') ? 1000 : 1;
    const value = (): number => Math.max(0, link.numbers[number] ?? 0) / unit;
    if (name.endsWith('_total')) metrics.counter({ name, help, collect: (counter) => counter.inc(value()) });
    else metrics.gauge({ name, help, collect: (gauge) => gauge.set(value()) });
  }
  metrics.gauge({
    name: 'sluice_outbox_bundles',
    help: 'Published bundles without a receipt.',
    collect: (gauge) => {
      gauge.set(ledger.outbox().length);
    },
  });
}

function addReach(metrics: Metrics, keeper: CheckParts['keeper']): void {
  if (keeper === undefined) return;
  metrics.gauge({
    name: 'sluice_chunk_log_reach_seconds',
    help: 'How far back replay reaches without a gap.',
    collect: (gauge) => {
      const reaches = keeper.state?.reaches;
      if (reaches !== undefined) gauge.set(Math.max(0, (Date.now() - reaches) / 1000));
    },
  });
}
