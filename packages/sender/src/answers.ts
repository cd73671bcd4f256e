import { entryView, type Filters, HttpProblem, type Page, type PageRequest } from '@sluice/chassis';
import { SEND_STATES, type SealedBundle } from '@sluice/ledger';
import { isDigest, jsonText } from '@sluice/ports';
import type { Observed } from './observe.ts';

/** By what /v1/bundles may be narrowed. */
export const filtersOf = ({ config }: Pick<Observed, 'config'>): Filters => ({
  state: SEND_STATES,
  channel: config.channels.map(({ name }) => name),
});

/** A bundle as the sender may speak of it: how often it was sent. */
function bundleView({ telemetry, config }: Observed, bundle: SealedBundle) {
  const { id, channel, sequence, name, bytes, state, passesDone, sealedAt } = bundle;
  const { passes } = config.carousel;
  const progress = telemetry.progressOf(id);
  return {
    bundle: id,
    channel,
    sequence,
    name: jsonText(name),
    bytes,
    state,
    sent: `pass ${String(Math.min(passesDone, passes))} of ${String(passes)}`,
    passesDone: Math.min(passesDone, passes),
    passes,
    // Top-ups, then statements alone.
    passesAfter: Math.max(0, passesDone - passes),
    ...(progress && { progress }),
    sealedAt: new Date(sealedAt).toISOString(),
  };
}

/** One page of /v1/bundles. */
export function bundlesPage(observed: Observed, { limit, cursor, filters }: PageRequest): Page {
  const before = cursor === undefined ? undefined : Number(cursor);
  if (before !== undefined && !Number.isSafeInteger(before)) {
    throw new HttpProblem(400, 'cursor is not one that this service gave out; begin without it.');
  }
  const { bundles, next } = observed.ledger.list(limit, before, filters);
  return { items: bundles.map((bundle) => bundleView(observed, bundle)), next: next?.toString() };
}

/** /v1/bundles/ID: the record, what it consists of, and every entry of the ledger about it. */
export function storyOf(observed: Observed, id: string): unknown {
  const bundle = isDigest(id) ? observed.ledger.bundle(id) : undefined;
  if (bundle === undefined) return undefined;
  const { release, objects } = bundle;
  return {
    bundle: bundleView(observed, bundle),
    release,
    objects: objects.length,
    events: observed.ledger.events.about(id).map(entryView),
  };
}
