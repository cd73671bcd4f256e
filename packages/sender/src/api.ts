import { api } from '@sluice/chassis';
import { SEND_STATES } from '@sluice/ledger';

const { count, digest, list, number, numbers, oneOf, orNull, record, text, time } = api;

const transmit = record(
  {
    tsi: count(),
    pending: count('passes that wait or are under way'),
    counters: numbers,
    stalls: count(),
    stalledNs: number,
    stageNs: numbers,
    sendErrors: count(),
  },
  { refusal: text('why the kernel takes nothing just now') },
);

const status = record(
  {
    config: digest,
    link: record({ to: text(), fec: { type: 'object' } }, { type: text(), io: text(), why: text(), rate: number }),
    channels: list(record({ name: text(), sequence: count(), id: orNull(digest) })),
    unfinished: count('bundles with passes to go'),
    refused: numbers,
  },
  { transmit },
);

const bundle = record(
  {
    bundle: digest,
    channel: text(),
    sequence: count(),
    name: text(),
    bytes: count(),
    state: oneOf(SEND_STATES),
    sent: text('pass n of m: whether it arrived is not known here'),
    passesDone: count(),
    passes: count(),
    passesAfter: count(),
    sealedAt: time,
  },
  { progress: record({ sentBytes: count(), totalBytes: count() }) },
);

const story = record({ bundle, release: digest, objects: count(), events: list(api.eventSchema) });

/** What the sender answers. */
export const senderSchemas = { status, bundle, story };
