import type { Health, HealthCheck } from '@sluice/chassis';
import type { ReceiverLedger } from '@sluice/ledger';
import type { ImportQueue } from '@sluice/queue';
import { terminalText } from '@sluice/ports';
import type { LinkState } from './link-state.ts';
import type { MissingBundles } from './missing.ts';

export interface CheckParts {
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly queue: ImportQueue;
  readonly channels: readonly string[];
  readonly missing: MissingBundles;
  readonly quietAfterMs: number;
}

/** link tells how it is every second; this much silence means that it does not run, or hangs. */
const LINK_SILENT_MS = 5000;

/** The health checks of the receiver. The link being down is no reason to restart us, nor to say that we are not ready. */
export function addChecks(health: Health, parts: CheckParts): void {
  const { ledger, link, queue } = parts;
  const checks = [
    linkProcess(link),
    ...parts.channels.flatMap((channel) => [linkFreshness(channel, parts), missingBundles(channel, parts)]),
    bundlesIn('quarantined', ledger, 'bundles were refused; /v1/bundles and the quarantine directory say why'),
    bundlesIn('failed', ledger, 'the importer did not take bundles; /v1/bundles says which and why'),
    redis(queue, ledger),
    linkAlarms(link),
  ];
  for (const check of checks) health.add(check);
}

const linkProcess = (link: LinkState): HealthCheck => ({
  name: 'link:process',
  gates: 'ready',
  check: () => {
    const silent = link.silentMs;
    if (silent === undefined) return { status: 'fail', output: 'link has not connected yet; look at its log' };
    const seen = { observedValue: Math.round(silent), observedUnit: 'ms', threshold: LINK_SILENT_MS };
    return silent > LINK_SILENT_MS
      ? { status: 'fail', ...seen, output: 'link has gone silent; look at its log' }
      : { status: 'pass', ...seen };
  },
});

const linkFreshness = (channel: string, { link, quietAfterMs }: CheckParts): HealthCheck => ({
  name: `link:freshness-${channel}`,
  check: () => {
    const age = link.heartbeatAge(channel);
    if (age === undefined)
      return {
        status: 'fail',
        output: `no heartbeat of channel ${channel} since the start: is the sender up, the fibre lit, the key right?`,
      };
    const seen = { observedValue: Math.round(age), observedUnit: 'ms', threshold: quietAfterMs };
    return age > quietAfterMs
      ? { status: 'fail', ...seen, output: `channel ${channel} has gone silent` }
      : { status: 'pass', ...seen };
  },
});

const missingBundles = (channel: string, { missing }: CheckParts): HealthCheck => ({
  name: `bundles:missing-${channel}`,
  check: () => {
    const list = missing.of(channel);
    const seen = { observedValue: list.length, observedUnit: 'bundles', threshold: 0 };
    if (list.length === 0) return { status: 'pass', ...seen };
    const shown = list
      .slice(0, 10)
      .map(({ sequence, name }) =>
        name === undefined ? String(sequence) : `${String(sequence)} (${terminalText(name)})`,
      )
      .join(', ');
    const output = `sequences ${shown} of channel ${channel} have not arrived; a later pass brings them`;
    return { status: 'warn', ...seen, output };
  },
});

const bundlesIn = (state: 'quarantined' | 'failed', ledger: ReceiverLedger, output: string): HealthCheck => ({
  name: `bundles:${state}`,
  check: () => {
    const count = ledger.count(state);
    const seen = { observedValue: count, observedUnit: 'bundles' };
    return count === 0 ? { status: 'pass', ...seen } : { status: 'warn', ...seen, output };
  },
});

const redis = (queue: ImportQueue, ledger: ReceiverLedger): HealthCheck => ({
  name: 'queue:redis',
  check: async () => {
    const { reachable, reasons } = await queue.health();
    const seen = { observedValue: ledger.outbox().length, observedUnit: 'bundles in the outbox' };
    return reachable && reasons.length === 0
      ? { status: 'pass', ...seen }
      : { status: 'warn', ...seen, output: reasons.join(' ') };
  },
});

const linkAlarms = (link: LinkState): HealthCheck => ({
  name: 'link:alarms',
  check: () => {
    const [latest] = link.alarms.toSorted((a, b) => a.ageMs - b.ageMs);
    const seen = { observedValue: link.alarms.length, observedUnit: 'alarms' };
    return latest === undefined
      ? { status: 'pass', ...seen }
      : { status: 'warn', ...seen, output: `${latest.code}: ${latest.detail}` };
  },
});
