import { createHash } from 'node:crypto';
import { HEADER_BYTES, makeTsi } from '@sluice/alc';
import { createCodec } from '@sluice/fec';
import type { DatagramBatch, Digest, LinkKey } from '@sluice/ports';
import { ethernetBytes, queueRate, sendArenaBytes, type SendEvent, SendMachine } from '@sluice/transfer';
import { type LinkIo, type LinkSink, openSink, setTimerSlack } from '@sluice/udp';
import { Arena } from '@sluice/wasm';
import type { FecProfile } from '@sluice/fec';

/** Waits shorter than this block the thread, which is more exact. */
const BLOCKING_WAIT_NS = 2e6;
/** 2020-01-01T00:00:00Z (PROTOCOL.md S-1). */
const EPOCH_SECONDS = 1_577_836_800;
const GROUP_BYTES = 64 * 2 ** 20;

export interface ProbeOptions {
  readonly host: string;
  readonly port: number;
  readonly io: LinkIo;
  readonly key: LinkKey;
  /** Ethernet bits a second, one step each, in this order. */
  readonly rates: readonly number[];
  /** How long each step lasts. */
  readonly stepMs: number;
  /** Quiet time between steps, in which the receiving end drains what it has. */
  readonly gapMs: number;
  readonly symbolBytes: number;
  readonly profile: FecProfile;
  readonly outageMs: number;
}

/** What this end knows of a step: what left. */
export interface SentStep {
  readonly session: number;
  readonly rate: number;
  readonly datagrams: number;
  readonly seconds: number;
  /** Airtime lost because this host came late. */
  readonly stalledSeconds: number;
  readonly bitsPerSecond: number;
}

const nowNs = (): number => performance.now() * 1e6;

/**
 * Sends one object of a test channel at each rate, each in a media session of its own (PROTOCOL.md S-4): the datagrams are
 * those of every transfer, made by the same machine, so what is measured is what a transfer would meet.
 */
export async function* sendProbes(options: ProbeOptions): AsyncGenerator<SentStep> {
  const { host, port, io, rates } = options;
  const top = Math.max(...rates);
  const datagram = HEADER_BYTES + options.symbolBytes;
  const sink = await openSink({ host, port, io, maxPacingRate: queueRate(top, datagram) });
  try {
    if (sink.io === 'native') await setTimerSlack(1);
    const base = Math.floor(Date.now() / 1000) - EPOCH_SECONDS;
    for (const [i, rate] of rates.entries()) {
      if (i > 0) await wait(options.gapMs);
      yield await sendStep(options, rate, makeTsi('media', base + i), sink);
    }
  } finally {
    sink.close();
  }
}

async function sendStep(options: ProbeOptions, rate: number, tsi: number, sink: LinkSink): Promise<SentStep> {
  const { symbolBytes, profile, outageMs, key, stepMs } = options;
  const datagram = HEADER_BYTES + symbolBytes;
  const datagrams = (rate * stepMs) / 1000 / 8 / ethernetBytes(datagram);
  const size = Math.max(symbolBytes, Math.round(datagrams / (1 + profile.ratio)) * symbolBytes);
  const settings = { symbolBytes, profile, rate, outageMs, groupBytes: GROUP_BYTES, statementLeadMs: 0 };
  const failed: unknown[] = [];
  const machine = new SendMachine(tsi, [key], settings, {
    codec: createCodec(),
    source: { read: (_, offset, into) => fill(into, offset) },
    wallSeconds: () => Math.floor(Date.now() / 1000),
    onEvent: (event: SendEvent) => {
      if (event.type === 'pass-failed') failed.push(event.error);
    },
    arena: Arena.create(sendArenaBytes(settings)),
  });
  const object = { digest: digestOf(size), size, contentType: 'application/octet-stream' } as const;
  machine.submit({ bundle: 'probe', asid: key.asid, pass: 0, statements: [], objects: [object] });
  const began = performance.now();
  for (;;) {
    const { at, batch } = machine.depart(nowNs());
    if (batch === undefined && at === Infinity) break;
    await until(at);
    if (batch !== undefined) await sendAll(batch, sink);
  }
  if (failed.length > 0) throw failed[0];
  const seconds = (performance.now() - began) / 1000;
  return {
    session: tsi,
    rate,
    datagrams: machine.counters.datagrams,
    seconds,
    stalledSeconds: machine.stalls.ns / 1e9,
    bitsPerSecond: (machine.counters.datagrams * ethernetBytes(datagram) * 8) / seconds,
  };
}

const sendAll = async (batch: DatagramBatch, sink: LinkSink): Promise<void> => {
  await sink.send(batch);
};

const sleeper = new Int32Array(new SharedArrayBuffer(4));
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(at: number): Promise<void> {
  for (let left = at - nowNs(); left > 0; left = at - nowNs()) {
    if (left > BLOCKING_WAIT_NS) await wait((left - BLOCKING_WAIT_NS) / 1e6);
    else Atomics.wait(sleeper, 0, 0, left / 1e6);
  }
}

/** Content that is no run of zeros: a byte for each place. */
function fill(into: Uint8Array, offset: number): void {
  for (let i = 0; i < into.length; i += 1) into[i] = (offset + i) & 0xff;
}

function digestOf(size: number): Digest {
  const piece = new Uint8Array(2 ** 20);
  fill(piece, 0);
  const hash = createHash('sha256');
  for (let left = size; left > 0; left -= piece.length) hash.update(piece.subarray(0, Math.min(left, piece.length)));
  return `sha256:${hash.digest('hex')}`;
}
