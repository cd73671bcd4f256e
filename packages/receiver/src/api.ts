import { api } from '@sluice/chassis';
import { BUNDLE_STATES } from '@sluice/ledger';

const { count, digest, list, number, numbers, oneOf, orNull, record, text } = api;

const heartbeat = record({
  seconds: count('sender time, Unix seconds'),
  state: oneOf(['idle', 'sending', 'paused', 'degraded']),
  sequence: count('last number sealed'),
  head: orNull(digest),
  config: digest,
  faults: list(text()),
  ageMs: number,
});

const missing = record({ sequence: count() }, { bundle: digest, name: text(), bytes: count() });

const status = record(
  {
    config: digest,
    link: record(
      {
        numbers,
        verdicts: numbers,
        stageNs: numbers,
        alarms: list(record({ code: text(), detail: text(), ageMs: number })),
        keys: list(record({ id: text(), asid: count(), channel: text(), datagrams: count('authentic ones') })),
        progress: list(record({ digest, size: count(), blocks: count(), stored: count() })),
      },
      { io: text(), receiveBuffer: count(), session: count(), silentMs: number },
    ),
    channels: list(
      record(
        { name: text(), missing: list(count()), missingBundles: list(missing) },
        { releaseSignatures: count('that a release needs'), heartbeat },
      ),
    ),
    open: list(record({ bundle: digest, channel: text(), sequence: count(), objects: count(), whole: count() })),
    outbox: record({ waiting: count(), queueAvailable: { type: 'boolean' }, paused: { type: 'boolean' } }),
    trust: record({ policy: orNull(record({ version: count(), digest })), revoked: list(text()) }),
    bundles: numbers,
  },
  {
    chunkLog: record(
      {
        files: count('closed and entered in the index'),
        bytes: count(),
        heldFiles: count('exempt from retention'),
        heldBytes: count(),
        head: orNull(digest),
      },
      { reaches: api.time, failure: text('why it is not kept') },
    ),
  },
);

const bundle = record({
  id: digest,
  channel: text(),
  sequence: count('0 when the statement was refused before its number counted'),
  release: digest,
  name: text('from the release; empty before it is verified'),
  state: oneOf(BUNDLE_STATES),
  code: text('why it was refused or failed'),
  detail: text(),
  bytes: count(),
  firstSeen: number,
  changed: number,
});

const receipt = record({
  bundle: digest,
  channel: text(),
  sequence: count(),
  result: oneOf(['imported', 'refused', 'failed']),
  code: text(),
  artifacts: list(record({ name: text(), digest, sites: list(record({ site: text(), digest })) })),
  seconds: count(),
});

const story = record(
  { bundle, events: list(api.eventSchema) },
  {
    receipt,
    progress: record({
      objects: count(),
      whole: count(),
      missing: list(record({ digest, size: count(), share: number })),
    }),
  },
);

/** What the receiver answers. */
export const receiverSchemas = { status, bundle, story };
