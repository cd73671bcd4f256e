import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { classify, makeTsi, readAsid, readToi, readTsi, setTsi, TAG_OFFSET, tsiEpoch } from '@sluice/alc';
import type { Authenticator } from '@sluice/ports';
import { ethernetBytes } from '@sluice/transfer';
import { openSink } from '@sluice/udp';
import { required, UsageError } from '../arguments.ts';
import { rateOf } from '../quantities.ts';
import { ReplaySpool } from '../replay-spool.ts';
import { say, sayJson } from '../say.ts';
import { type ReplayPlan, runReplay } from './run.ts';

/** A pause is slept when it is at least this long, milliseconds. */
const LEAST_SLEEP_MS = 1;
const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';

/**
 * Plays what is authentic in a log to a receiver, as media sessions: same numbers, same symbols, new tags. A live session
 * would be refused as an old one, or would shut out the sender's own.
 */
export async function sendReplay(
  plan: Omit<ReplayPlan, 'spool'>,
  work: string,
  values: {
    readonly target?: string | undefined;
    readonly rate?: string | undefined;
    readonly json?: boolean | undefined;
  },
): Promise<number> {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(required(values.target, 'target')) ?? [];
  if (host === undefined) throw new UsageError('--target takes HOST:PORT');
  if (!plan.keys.isChecked) throw new UsageError('--keys is missing: what is sent is tagged anew');
  const rate = values.rate === undefined ? undefined : rateOf(values.rate, 'rate');
  const sink = await openSink({
    host,
    port: Number(port),
    io: 'portable',
    maxPacingRate: undefined,
    onNote: () => undefined,
  });
  const tags = new Map<string, Authenticator>();
  const pace = new Pace(rate);
  let sent = 0;
  // A heartbeat says how a sender is now: none is played. Nor objects that were not asked for.
  const unwanted = new Set<string>();
  const onNamed: NonNullable<ReplayPlan['onNamed']> = (tsi, toi, { contentType, digest }) => {
    const isWanted = contentType !== HEARTBEAT_TYPE && plan.selection.objects?.has(digest) !== false;
    if (!isWanted) unwanted.add(`${String(tsi)}/${String(toi)}`);
  };
  const isWanted = (payload: Uint8Array): boolean =>
    classify(payload, 0, payload.length) === 'fdt' ||
    !unwanted.has(`${String(readTsi(payload, 0))}/${String(readToi(payload, 0))}`);
  const onAuthentic = async (payload: Uint8Array, ns: bigint): Promise<void> => {
    if (!isWanted(payload)) return;
    const tsi = makeTsi('media', tsiEpoch(readTsi(payload, 0)));
    const datagram = Uint8Array.from(payload);
    setTsi(datagram, 0, tsi);
    authenticatorOf(plan, tags, datagram, tsi).sign(datagram, TAG_OFFSET);
    await pace.until(ns, datagram.length);
    await sink.send({ bytes: datagram, size: datagram.length, count: 1 });
    sent += 1;
  };
  try {
    const spool = new ReplaySpool(join(work, 'objects'), { keep: false, only: plan.selection.objects });
    const { sessions, problems } = await runReplay({ ...plan, spool, onAuthentic, onNamed });
    const media = sessions.map((tsi) => makeTsi('media', tsiEpoch(tsi)));
    if (values.json === true) sayJson(JSON.stringify({ sent, sessions: media, problems }));
    else
      say(
        `sent        ${String(sent)} datagrams in ${media.length === 1 ? 'session' : 'sessions'} ${media.join(', ')}`,
      );
    return 0;
  } finally {
    sink.close();
  }
}

function authenticatorOf(
  { keys: { keys } }: Omit<ReplayPlan, 'spool'>,
  known: Map<string, Authenticator>,
  datagram: Uint8Array,
  tsi: number,
): Authenticator {
  const asid = readAsid(datagram, 0);
  const name = `${String(tsi)}/${String(asid)}`;
  const found = known.get(name) ?? keys[asid]?.session(tsi);
  if (found === undefined) throw new Error('an authentic datagram without a key');
  known.set(name, found);
  return found;
}

/** Departures as recorded, or at a rate. */
class Pace {
  readonly #rate: number | undefined;
  #first: { readonly ns: bigint; readonly at: number } | undefined;
  #due = 0;

  constructor(rate: number | undefined) {
    this.#rate = rate;
  }

  async until(ns: bigint, bytes: number): Promise<void> {
    const now = performance.now();
    this.#first ??= { ns, at: now };
    if (this.#rate === undefined) this.#due = this.#first.at + Number(ns - this.#first.ns) / 1e6;
    else this.#due = Math.max(this.#due, now - 1) + (ethernetBytes(bytes) * 8e3) / this.#rate;
    const left = this.#due - now;
    if (left >= LEAST_SLEEP_MS) await setTimeout(left);
  }
}
