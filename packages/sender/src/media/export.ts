import { Worker } from 'node:worker_threads';
import { epochAt, HEADER_BYTES, makeTsi } from '@sluice/alc';
import { HttpProblem } from '@sluice/chassis';
import { makeProfile } from '@sluice/fec';
import type { Actor, SealedBundle, SenderLedger } from '@sluice/ledger';
import { type Digest, OperationalError } from '@sluice/ports';
import type { SenderConfig } from '../config.ts';
import type { LinkKeys } from '../link-keys.ts';
import { passOrder } from '../pipeline.ts';
import { profileOf } from '../transmission.ts';
import type { FromMedia, MediaOptions } from './messages.ts';
import { type MediaWish, planMedia } from './plan.ts';

/** Pieces between the worker and whoever reads. */
const PIECES = 4;
/** Blocks made at a time: files need no interleaving, so that groups need not be long. */
const GROUP_BYTES = 8 * 1024 * 1024;

export interface MediaParts {
  readonly config: SenderConfig;
  readonly ledger: SenderLedger;
  readonly storeRoot: string;
  readonly linkKeys: LinkKeys;
  /** Which of these objects the staging store has no longer as they were. */
  readonly missing: (
    objects: readonly { readonly digest: Digest; readonly size: number }[],
  ) => Promise<readonly Digest[]>;
}

/** What an export begins with, one line of JSON. */
export interface MediaHead {
  readonly bundle: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly tsi: number;
  readonly datagramBytes: number;
  readonly parts: number;
  /** Bytes of all files together, about. */
  readonly bytes: number;
}

/**
 * A bundle as a media session: the head, then records as the media worker makes them. One whole pass, whatever has left by
 * the fibre; nothing in the ledger but the session and that it was exported.
 */
export async function exportMedia(
  name: string,
  wish: MediaWish,
  parts: MediaParts,
  actor: Actor,
): Promise<{ readonly head: MediaHead; readonly records: AsyncGenerator<Uint8Array> }> {
  const { config, ledger } = parts;
  const bundle = bundleNamed(name, config, ledger);
  const channel = config.channels.find((each) => each.name === bundle?.channel);
  if (bundle === undefined || channel === undefined)
    throw new HttpProblem(404, `There is no bundle "${name}"; name it by its id, its number or CHANNEL/NUMBER.`);
  const gone = await parts.missing([{ digest: bundle.release, size: bundle.releaseSize }, ...bundle.objects]);
  if (gone.length > 0)
    throw new HttpProblem(409, 'Objects of the bundle are gone from the staging store: submit it again.');
  const active = parts.linkKeys.active(channel.name);
  const { asid } = active;
  const order = passOrder(bundle, asid, { pass: 0 });
  const { symbolBytes, statementLead } = config.link;
  const plan = planMedia(order, { symbolBytes, profile: makeProfile(profileOf(config)) }, wish);
  const tsi = makeTsi('media', ledger.nextEpoch(epochAt(Date.now() / 1000)));
  ledger.control.done('export', bundle.id, actor, { tsi, parts: plan.parts });
  const head = {
    ...{ bundle: bundle.id, channel: bundle.channel, sequence: bundle.sequence, tsi },
    ...{ datagramBytes: HEADER_BYTES + symbolBytes, parts: plan.parts, bytes: plan.bytes },
  };
  const options = {
    ...{ order, symbolBytes, tsi, storeRoot: parts.storeRoot, io: config.link.io },
    profile: { name: 'media', maxBlock: plan.profile.maxBlock, repair: plan.profile.repair },
    groupBytes: GROUP_BYTES,
    statementLeadMs: statementLead,
    key: { ...{ asid, channel: channel.name }, algorithm: active.algorithm, key: active.key },
  };
  return { head, records: records(options) };
}

/** The worker's records, piece by piece, no faster than they are read. The worker ends when the reader does. */
async function* records(options: Omit<MediaOptions, 'credit'>): AsyncGenerator<Uint8Array> {
  const credit = new Int32Array(new SharedArrayBuffer(4));
  credit[0] = PIECES;
  const workerData: MediaOptions = { ...options, credit };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData, name: 'media' });
  const said: FromMedia[] = [];
  let wake: () => void = () => undefined;
  let failure: unknown;
  worker.on('message', (message: FromMedia) => {
    said.push(message);
    wake();
  });
  worker.once('error', (error) => {
    failure = error;
    wake();
  });
  try {
    for (;;) {
      const next = said.shift();
      if (next?.type === 'done') return;
      if (next?.type === 'failed') throw new OperationalError('store-io', next.reason, { retryable: true });
      if (next !== undefined) {
        yield next.bytes;
        Atomics.add(credit, 0, 1);
        Atomics.notify(credit, 0);
      } else if (failure !== undefined) throw failure as Error;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    await worker.terminate();
  }
}

/** A bundle by its id, by CHANNEL/NUMBER, or by its number where there is one channel. */
function bundleNamed(name: string, { channels }: SenderConfig, ledger: SenderLedger): SealedBundle | undefined {
  const [, channel = channels.length === 1 ? channels[0]?.name : undefined, sequence] =
    /^(?:([a-z0-9-]+)\/)?(\d{1,15})$/.exec(name) ?? [];
  if (channel === undefined || sequence === undefined) return ledger.bundle(name);
  return ledger.numbered(channel, Number(sequence));
}
