import type { HealthCheck } from '@sluice/chassis';
import type { ReceiverLedger } from '@sluice/ledger';
import { terminalText } from '@sluice/ports';
import type { CheckParts } from './checks.ts';

// Checks of what has not come, or was not taken.

/** A bundle that lacks something and of which nothing came for so long is told of. */
const INCOMPLETE_AFTER_MS = 60_000;

/** Numbers that were sent and of which nothing has come. */
export const missingBundles = (channel: string, { missing }: CheckParts): HealthCheck => ({
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
    const output = `sequences ${shown} of channel ${channel} have not arrived; a later pass or a ticket brings them`;
    return { status: 'warn', ...seen, output };
  },
});

/** Bundles that ended otherwise than they should. */
export const bundlesIn = (state: 'quarantined' | 'failed', ledger: ReceiverLedger, output: string): HealthCheck => ({
  name: `bundles:${state}`,
  check: () => {
    const count = ledger.count(state);
    const seen = { observedValue: count, observedUnit: 'bundles' };
    return count === 0 ? { status: 'pass', ...seen } : { status: 'warn', ...seen, output };
  },
});

/** Bundles that lack something, and of which nothing has come for a while: nobody else would say so, since their numbers came. */
export const incomplete = ({ pipeline }: CheckParts): HealthCheck => ({
  name: 'bundles:incomplete',
  check: () => {
    const still = pipeline.open.filter(
      ({ missing, waits, stillMs }) => missing.size > 0 && !waits && stillMs > INCOMPLETE_AFTER_MS,
    );
    const seen = { observedValue: still.length, observedUnit: 'bundles', threshold: 0 };
    const [first] = still;
    if (first === undefined) return { status: 'pass', ...seen };
    const { channel, sequence } = first.transport.statement;
    const shown = still.slice(0, 10).map(({ transport: { statement }, missing, name }) => {
      const called = name === undefined ? '' : ` (${terminalText(name)})`;
      return `${statement.channel}/${String(statement.sequence)}${called} lacks ${String(missing.size)} of ${String(statement.objects.length)} objects`;
    });
    const help = `a later pass or a ticket ("sluice ticket ${channel}/${String(sequence)}") brings them`;
    return { status: 'warn', ...seen, output: `nothing more comes: ${shown.join(', ')}; ${help}` };
  },
});
