import type { BundleRecord, ReceiverLedger } from '@sluice/ledger';

const PAGE = 500;

/** All bundles of a ledger, newest first. */
export function* bundlesOf(ledger: ReceiverLedger): Generator<BundleRecord> {
  for (let before: number | undefined; ;) {
    const { bundles, next } = ledger.list(PAGE, before);
    yield* bundles;
    if (next === undefined) return;
    before = next;
  }
}

/** A bundle by its id, by CHANNEL/NUMBER, or by its number where it is the only one that has it. */
export function bundleOf(ledger: ReceiverLedger, name: string): BundleRecord | undefined {
  const [, channel, sequence] = /^(?:([a-z0-9-]+)\/)?(\d{1,15})$/.exec(name) ?? [];
  if (sequence === undefined) return ledger.bundle(name);
  if (channel !== undefined) return ledger.bundle(ledger.takenBy(channel, Number(sequence)) ?? '');
  const found = [...bundlesOf(ledger)].filter((bundle) => bundle.sequence === Number(sequence));
  return found.length === 1 ? found[0] : undefined;
}
