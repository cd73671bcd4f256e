import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { HEADER_BYTES } from '@sluice/alc';
import { createCodec, makeProfile } from '@sluice/fec';
import { EpochWait, sendArenaBytes, SendMachine } from '@sluice/transfer';
import { makeLinkKey, openTagAccelerator } from '@sluice/trust';
import { Arena } from '@sluice/wasm';
import { StagedObjects } from '../transmit/staged-objects.ts';
import type { FromMedia, MediaOptions } from './messages.ts';
import { MEDIA_RATE } from './plan.ts';

const PIECE_BYTES = 1024 * 1024;
const TIME_BYTES = 8;
const WAIT_MS = 25;

const options = workerData as MediaOptions;
const port = parentPort;
if (port === null) throw new Error('the media worker is a worker thread');
const tell = (message: FromMedia): void => {
  port.postMessage(message, message.type === 'piece' ? [message.bytes.buffer] : []);
};

/** Collects records into pieces, and waits while nobody wants more. */
class Pieces {
  readonly #record: number;
  #piece: Buffer<ArrayBuffer>;
  #used = 0;

  constructor(datagramBytes: number) {
    this.#record = TIME_BYTES + datagramBytes;
    this.#piece = this.#empty();
  }

  add(datagram: Uint8Array, ns: number): void {
    this.#piece.writeBigUInt64BE(BigInt(Math.round(ns)), this.#used);
    this.#piece.set(datagram, this.#used + TIME_BYTES);
    this.#used += this.#record;
    if (this.#used + this.#record > this.#piece.length) this.end();
  }

  end(): void {
    if (this.#used === 0) return;
    while (Atomics.load(options.credit, 0) <= 0) Atomics.wait(options.credit, 0, 0);
    Atomics.sub(options.credit, 0, 1);
    tell({ type: 'piece', bytes: new Uint8Array(this.#piece.buffer, 0, this.#used) });
    this.#piece = this.#empty();
    this.#used = 0;
  }

  #empty(): Buffer<ArrayBuffer> {
    return Buffer.from(new ArrayBuffer(Math.max(1, Math.floor(PIECE_BYTES / this.#record)) * this.#record));
  }
}

const settings = {
  symbolBytes: options.symbolBytes,
  profile: makeProfile(options.profile),
  rate: MEDIA_RATE,
  // Files are no wire: what an outage is to it, a lost file is to them, and symbols are dealt to the files for that.
  outageMs: 0,
  groupBytes: options.groupBytes,
  statementLeadMs: options.statementLeadMs,
};
const wallSeconds = (): number => Math.floor(Date.now() / 1000);
// As on the fibre (PROTOCOL.md S-1); the machine would wait by link time, which is over at once.
const wait = new EpochWait(options.tsi, { wallSeconds, onAhead: () => undefined });
while (!wait.over(performance.now() * 1e6)) await setTimeout(WAIT_MS);
const tags = await openTagAccelerator(options.io);
const failures: unknown[] = [];
const machine = new SendMachine(options.tsi, [makeLinkKey(options.key, tags.accelerate)], settings, {
  codec: createCodec(),
  source: new StagedObjects(options.storeRoot),
  wallSeconds,
  onEvent: (event) => {
    if (event.type === 'pass-failed') failures.push(event.error);
  },
  arena: Arena.create(sendArenaBytes(settings)),
});
machine.submit(options.order);
const size = HEADER_BYTES + options.symbolBytes;
const pieces = new Pieces(size);
// Link time, not time: a pass as it would leave at this rate, as fast as it can be made.
for (let now = 0; failures.length === 0;) {
  const { at, batch } = machine.depart(now);
  if (at === Infinity) break;
  now = Math.max(now, at);
  for (let i = 0; i < (batch?.count ?? 0); i += 1) {
    pieces.add(batch?.bytes.subarray(i * size, (i + 1) * size) ?? new Uint8Array(), now + i * machine.datagramNs);
  }
}
const [failure] = failures;
if (failure === undefined) {
  pieces.end();
  tell({ type: 'done' });
} else tell({ type: 'failed', reason: failure instanceof Error ? failure.message : 'the pass failed' });
