import { digestOfConfig } from '@sluice/base';
import { parseEnvelope, parseReceipt } from '@sluice/bundle';
import { entryView, type Filters, HttpProblem, type Page, type PageRequest } from '@sluice/chassis';
import { BUNDLE_STATES, type BundleRecord, type ReceiverLedger } from '@sluice/ledger';
import { isDigest, jsonText } from '@sluice/ports';
import type { Anchors } from '@sluice/policy';
import type { KeeperState } from './chunks/keeper.ts';
import type { CheckParts } from './checks.ts';
import type { ReceiverConfig } from './config.ts';
import type { Outbox } from './outbox.ts';
import type { ReceiverPipeline } from './pipeline.ts';

export interface AnswerParts extends CheckParts {
  readonly anchors: Anchors;
  readonly outbox: Outbox;
  readonly pipeline: ReceiverPipeline;
  readonly config: ReceiverConfig;
}

/** The answer of /v1/status. */
export function statusOf(parts: AnswerParts): unknown {
  const { anchors, ledger, link, outbox, pipeline, missing, channels, config, keeper } = parts;
  return {
    config: digestOfConfig(config),
    link: link.view(),
    channels: channels.map((name) => {
      return {
        name,
        releaseSignatures: anchors.get(name)?.policy.releaseSignatures,
        heartbeat: link.heartbeatOf(name),
        missing: missing.of(name).map(({ sequence }) => sequence),
        missingBundles: missing
          .of(name)
          .map((bundle) => ({ ...bundle, ...(bundle.name === undefined ? {} : { name: jsonText(bundle.name) }) })),
      };
    }),
    open: pipeline.open.map(({ transport, whole }) => ({
      bundle: transport.id,
      channel: transport.statement.channel,
      sequence: transport.statement.sequence,
      objects: transport.statement.objects.length,
      whole,
    })),
    outbox: { waiting: ledger.outbox().length, queueAvailable: !outbox.unavailable, paused: outbox.paused },
    trust: { policy: anchors.policy ?? null, revoked: [...ledger.trust.revoked()] },
    ...(keeper?.state === undefined ? {} : { chunkLog: chunkLogView(keeper.state) }),
    bundles: Object.fromEntries(BUNDLE_STATES.map((state) => [state, ledger.count(state)])),
  };
}

/** Times as people read them. */
const chunkLogView = ({ reaches, failure, retained: _, ...state }: KeeperState) => ({
  ...state,
  ...(reaches === undefined ? {} : { reaches: new Date(reaches).toISOString() }),
  ...(failure === undefined ? {} : { failure }),
});

/** By what /v1/bundles may be narrowed. */
export const filtersOf = ({ channels }: Pick<AnswerParts, 'channels'>): Filters => ({
  state: BUNDLE_STATES,
  channel: channels,
});

const bundleView = (bundle: BundleRecord) => ({
  ...bundle,
  name: jsonText(bundle.name),
  detail: jsonText(bundle.detail),
});

/** One page of /v1/bundles. */
export function bundlesPage(ledger: ReceiverLedger, { limit, cursor, filters }: PageRequest): Page {
  const before = cursor === undefined ? undefined : Number(cursor);
  if (before !== undefined && !Number.isSafeInteger(before)) {
    throw new HttpProblem(400, 'cursor is not one that this service gave out; begin without it.');
  }
  const { bundles, next } = ledger.list(limit, before, filters);
  return { items: bundles.map(bundleView), next: next?.toString() };
}

/** /v1/bundles/ID: the record, how far it is, every entry of the ledger about it, and the importer's receipt. */
export function storyOf({ ledger, pipeline, link }: AnswerParts, id: string): unknown {
  const bundle = isDigest(id) ? ledger.bundle(id) : undefined;
  if (bundle === undefined) return undefined;
  const open = pipeline.open.find(({ transport }) => transport.id === id);
  const under = open?.transport.statement.objects.filter(({ digest }) => open.missing.has(digest)) ?? [];
  const envelope = ledger.receipt(id);
  const parsed = envelope === undefined ? undefined : parseEnvelope(envelope);
  const receipt = parsed?.ok ? parseReceipt(parsed.value.payload) : undefined;
  return {
    bundle: bundleView(bundle),
    ...(open && {
      progress: {
        objects: open.transport.statement.objects.length,
        whole: open.whole,
        // Of very many the first.
        missing: under.slice(0, 100).map(({ digest, size }) => ({ digest, size, share: link.share(digest) })),
      },
    }),
    events: ledger.events.about(id).map(entryView),
    ...(receipt?.ok && { receipt: receipt.value }),
  };
}
