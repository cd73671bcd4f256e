import type { Health } from '@sluice/chassis';
import type { ReceiverLedger } from '@sluice/ledger';
import type { ImportQueue } from '@sluice/queue';
import type { LinkState } from './link-state.ts';

export interface CheckParts {
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly queue: ImportQueue;
  readonly channels: readonly string[];
  readonly missing: (channel: string) => readonly number[];
  readonly quietAfterMs: number;
}

/** link tells how it is every second; this much silence means that it does not run, or hangs. */
const LINK_SILENT_MS = 5000;

/** The health checks of the receiver. The link being down is no reason to restart us, nor to say that we are not ready. */
export function addChecks(health: Health, { ledger, link, queue, channels, missing, quietAfterMs }: CheckParts): void {
  health.add({
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
  for (const channel of channels) {
    health.add({
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
    health.add({
      name: `bundles:missing-${channel}`,
      check: () => {
        const list = missing(channel);
        if (list.length === 0) return { status: 'pass', observedValue: 0, observedUnit: 'bundles', threshold: 0 };
        const shown = list.slice(0, 10).join(', ');
        return {
          status: 'warn',
          observedValue: list.length,
          observedUnit: 'bundles',
          threshold: 0,
          output: `sequences ${shown} of channel ${channel} have not arrived; a later pass brings them`,
        };
      },
    });
  }
  health.add({
    name: 'bundles:quarantined',
    check: () => {
      const count = ledger.count('quarantined');
      return {
        status: count === 0 ? 'pass' : 'warn',
        observedValue: count,
        observedUnit: 'bundles',
        ...(count === 0 ? {} : { output: 'bundles were refused; /v1/bundles and the quarantine directory say why' }),
      };
    },
  });
  health.add({
    name: 'bundles:failed',
    check: () => {
      const count = ledger.count('failed');
      return {
        status: count === 0 ? 'pass' : 'warn',
        observedValue: count,
        observedUnit: 'bundles',
        ...(count === 0 ? {} : { output: 'the importer did not take bundles; /v1/bundles says which and why' }),
      };
    },
  });
  health.add({
    name: 'queue:redis',
    check: async () => {
      const { reachable, reasons } = await queue.health();
      const waiting = ledger.outbox().length;
      const seen = { observedValue: waiting, observedUnit: 'bundles in the outbox' };
      if (!reachable) return { status: 'warn', ...seen, output: reasons.join(' ') };
      return {
        status: reasons.length > 0 ? 'warn' : 'pass',
        ...seen,
        ...(reasons.length > 0 ? { output: reasons.join(' ') } : {}),
      };
    },
  });
  health.add({
    name: 'link:alarms',
    check: () => {
      const [latest] = link.alarms.toSorted((a, b) => a.ageMs - b.ageMs);
      if (latest === undefined) return { status: 'pass', observedValue: 0 };
      return {
        status: 'warn',
        observedValue: link.alarms.length,
        observedUnit: 'alarms',
        output: `${latest.code}: ${latest.detail}`,
      };
    },
  });
}
