import { createCodec, makeProfile } from '@sluice/fec';
import { Bench, type JudgeOptions, SpoolHasher, type ToJudge, type ToSpoolThread } from '@sluice/receiver';
import { type FromTransmit, StagedObjects, type ToTransmit, type TransmitOptions } from '@sluice/sender';
import { type Batch, type BatchPlaces, type PackBatch, storeBatch } from '@sluice/store';
import { sendArenaBytes, SendMachine } from '@sluice/transfer';
import { makeLinkKey } from '@sluice/trust';
import { Arena } from '@sluice/wasm';
import type { Fibre } from './fibre.ts';
import { kernel, type Process, self, type Timer } from './kernel.ts';
import { registerThread } from './node/worker-threads.ts';

const STATUS_NS = 1e9;
const CLOCK_STEP_MS = 2000;
const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';
const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';

let lit: Fibre | undefined;
let batches = false;

/** The fibre that the transmit thread of a world sends into, and whether the kernel makes its datagrams. */
export function light(fibre: Fibre | undefined, withKernel = false): void {
  lit = fibre;
  batches = withKernel;
}

/**
 * The transmit thread without its waiting: the product's machine, its reader of staged objects and its messages, on virtual time.
 * The real one sleeps until a departure; this one is called at it.
 */
class Transmitter {
  readonly #machine: SendMachine;
  readonly #process: Process = self();
  readonly #tell: (message: FromTransmit) => void;
  #leaving = false;
  #idle: Timer | undefined;
  #offset = Date.now() - performance.now();

  constructor(options: TransmitOptions, tell: (message: FromTransmit) => void) {
    this.#tell = tell;
    const settings = {
      symbolBytes: options.symbolBytes,
      profile: makeProfile(options.profile),
      rate: options.rate ?? Infinity,
      outageMs: options.outageMs,
      groupBytes: options.groupBytes,
      statementLeadMs: options.statementLeadMs,
    };
    this.#machine = new SendMachine(
      options.tsi,
      options.keys.map((key) => makeLinkKey(key)),
      settings,
      {
        codec: createCodec(),
        ...(batches ? { arena: Arena.create(sendArenaBytes(settings)) } : {}),
        source: new StagedObjects(options.storeRoot),
        wallSeconds: () => Math.floor(Date.now() / 1000),
        onEvent: (event) => tell(event.type === 'pass-failed' ? { ...event, reason: String(event.error) } : event),
      },
    );
    this.#status();
  }

  take(message: ToTransmit): void {
    const machine = this.#machine;
    switch (message.type) {
      case 'pass':
        machine.submit(message.order);
        break;
      case 'cancel':
        machine.cancel(message.bundle);
        break;
      case 'heartbeat':
      case 'history': {
        const { type, asid, digest, body } = message;
        const size = body.length;
        if (type === 'history') machine.note(asid, { digest, size, contentType: STATEMENT_TYPE }, body);
        else machine.heartbeat(asid, { digest, size, contentType: HEARTBEAT_TYPE }, body);
        break;
      }
      case 'roll':
        machine.roll(message.tsi);
        break;
      case 'rekey':
        machine.rekey(message.from, message.to);
        break;
      case 'pause':
      case 'stop':
        break;
    }
    this.#pump();
  }

  #pump(): void {
    // What was handed out leaves first, whatever message comes meanwhile.
    if (this.#leaving) return;
    if (this.#idle !== undefined) this.#idle.cancelled = true;
    const now = performance.now() * 1e6;
    const { at, batch } = this.#machine.depart(now);
    if (batch !== undefined) {
      const { bytes, size, count } = batch;
      const copy = bytes.slice(0, size * count);
      this.#leaving = true;
      kernel().after(Math.max(0, at - now) / (1 + this.#process.machine.drift), this.#process, () => {
        for (let i = 0; i < count; i += 1) lit?.send(copy.subarray(i * size, (i + 1) * size));
        this.#leaving = false;
        this.#pump();
      });
    } else if (at < Infinity) this.#idle = kernel().after(at - now + 1000, this.#process, () => this.#pump());
  }

  #status(): void {
    const { counters, pending, stalls, tsi } = this.#machine;
    const status = { tsi, pending, counters: { ...counters }, stalls: stalls.count, stalledNs: stalls.ns };
    this.#tell({ type: 'status', status: { ...status, stageNs: {}, sendErrors: 0, refusal: undefined } });
    const offset = Date.now() - performance.now();
    const stepped = Math.abs(offset - this.#offset) >= CLOCK_STEP_MS;
    this.#offset = stepped ? offset : this.#offset;
    if (stepped || this.#machine.worn) this.#tell({ type: 'roll-wanted', why: stepped ? 'clock' : 'worn' });
    kernel().after(STATUS_NS, this.#process, () => this.#status());
  }
}

/** What the threads of the daemons run, in a world. */
export function registerThreads(): void {
  registerThread('spool', (_data, tell) => {
    const hasher = new SpoolHasher(tell);
    return (message) => hasher.take(message as ToSpoolThread);
  });
  registerThread('judge', (data, tell) => {
    const bench = new Bench(data as JudgeOptions, tell);
    return (message) => bench.take(message as ToJudge);
  });
  registerThread(
    'store',
    (data, tell) => (message) => tell(storeBatch(message as Batch | PackBatch, data as BatchPlaces)),
  );
  registerThread('transmit', (data, tell) => {
    const transmitter = new Transmitter(data as TransmitOptions, tell);
    return (message) => transmitter.take(message as ToTransmit);
  });
}
