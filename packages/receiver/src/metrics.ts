import type { Metrics } from '@sluice/chassis';
import { BUNDLE_STATES, type ReceiverLedger } from '@sluice/ledger';
import type { LinkState } from './link-state.ts';
import type { MissingBundles } from './missing.ts';

export interface MetricParts {
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly channels: readonly string[];
  readonly missing: MissingBundles;
}

/** What Prometheus sees of receiver and link. Labels come from closed sets only. */
export function addMetrics(metrics: Metrics, { ledger, link, channels, missing }: MetricParts): void {
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
  metrics.gauge({
    name: 'sluice_link_datagrams',
    help: 'Datagrams since link started, by verdict.',
    labels: ['verdict'],
    collect: (gauge) => {
      for (const [verdict, count] of Object.entries(link.verdicts)) gauge.set({ verdict }, count);
    },
  });
  metrics.gauge({
    name: 'sluice_link_state',
    help: 'Numbers of the link process: counts since it started, bytes held.',
    labels: ['what'],
    collect: (gauge) => {
      for (const [what, value] of Object.entries(link.numbers)) gauge.set({ what }, value);
    },
  });
  metrics.gauge({
    name: 'sluice_outbox_bundles',
    help: 'Published bundles without a receipt.',
    collect: (gauge) => {
      gauge.set(ledger.outbox().length);
    },
  });
}
