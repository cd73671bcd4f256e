import { type BundleRecord, ReceiverLedger } from '@sluice/ledger';
import { terminalText } from '@sluice/ports';
import type { ReplayedBundle } from './bundles.ts';

const ENTERED = ['published', 'queued', 'imported', 'failed'];

/** Holds what came out of a log against what a receiver's ledger recorded then. */
export function compareWithLedger(bundles: readonly ReplayedBundle[], path: string): readonly ReplayedBundle[] {
  return ReceiverLedger.read(path, (ledger) =>
    bundles.map((bundle) => ({ ...bundle, ledger: account(bundle, ledger.bundle(bundle.id)) })),
  );
}

function account(
  { objects, whole }: ReplayedBundle,
  record: BundleRecord | undefined,
): NonNullable<ReplayedBundle['ledger']> {
  if (record === undefined) return { state: 'unknown', code: '', agrees: false, why: 'the ledger has no such bundle' };
  const { state, code, detail } = record;
  const all = whole === objects.length;
  const has = `${String(whole)} of ${String(objects.length)} objects came out of the log`;
  if (ENTERED.includes(state)) {
    const why = all
      ? 'all of it came out of the log'
      : `${has}: the rest came before it, by another way, or is not in these files`;
    return { state, code, agrees: all, why };
  }
  if (state === 'quarantined') return { state, code, agrees: true, why: `refused then: ${terminalText(detail)}` };
  return { state, code, agrees: !all, why: all ? `${has}, and the receiver was not done with it` : has };
}
