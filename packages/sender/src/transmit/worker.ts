import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { HEADER_BYTES } from '@sluice/alc';
import { createCodec, makeProfile } from '@sluice/fec';
import { type DatagramBatch, type DatagramSink, OperationalError } from '@sluice/ports';
import { queueRate, sendArenaBytes, SendMachine } from '@sluice/transfer';
import { makeLinkKey, openTagAccelerator } from '@sluice/trust';
import { openSink, setTimerSlack } from '@sluice/udp';
import { Arena } from '@sluice/wasm';
import type { FromTransmit, ToTransmit, TransmitOptions } from './messages.ts';
import { StagedObjects } from './staged-objects.ts';

/** Waits shorter than this block the thread, which is more exact; longer ones let the event loop run. */
const BLOCKING_WAIT_NS = 2e6;
const LONGEST_WAIT_MS = 1000;
/** Link time of a datagram from which on the thread does not sleep up to its departure, and for how long it does not. */
const SLOW_NS = 250_000;
const AWAKE_NS = 70_000;
const STATUS_MS = 1000;
/** Wall and monotonic clock may disagree by this much before the session rolls (PROTOCOL.md S-2). */
const CLOCK_STEP_SECONDS = 2;
const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';
const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';

const options = workerData as TransmitOptions;
const port = parentPort;
if (port === null) throw new Error('the transmit worker is a worker thread');
const tell = (message: FromTransmit): void => {
  port.postMessage(message);
};
const nowNs = (): number => performance.now() * 1e6;

/** Notices when the wall clock moves against the monotonic one. */
class ClockWatch {
  #offset = Date.now() - performance.now();

  stepped(): boolean {
    const offset = Date.now() - performance.now();
    if (Math.abs(offset - this.#offset) < CLOCK_STEP_SECONDS * 1000) return false;
    this.#offset = offset;
    return true;
  }
}

/** Stops 3 to 7: the thread that encodes, frames, paces and sends. */
class Transmitter {
  readonly #machine: SendMachine;
  readonly #sink: DatagramSink;
  readonly #clock = new ClockWatch();
  readonly #sleep = new Int32Array(new SharedArrayBuffer(4));
  #sendErrors = 0;
  #departNs = 0;
  /** Why the kernel takes nothing just now. */
  #refusal: string | undefined;
  #paused = false;
  #stopping = false;
  #rollAsked = false;
  #statusDue = 0;
  #seen = -1;

  constructor(machine: SendMachine, sink: DatagramSink) {
    this.#machine = machine;
    this.#sink = sink;
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      const seen = Atomics.load(options.wake, 0);
      if (seen !== this.#seen) this.#takeMessages();
      this.#seen = seen;
      this.#look();
      const { at, batch } = this.#paused ? { at: Infinity, batch: undefined } : this.#machine.depart(nowNs());
      if (batch === undefined) await this.#idle(at, seen);
      else {
        await this.#until(at);
        const began = nowNs();
        await this.#send(batch);
        this.#departNs += nowNs() - began;
      }
    }
    this.#sink.close();
  }

  #takeMessages(): void {
    if (port === null) return;
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      this.#take(next.message as ToTransmit);
    }
  }

  #take(message: ToTransmit): void {
    switch (message.type) {
      case 'pass':
        this.#machine.submit(message.order);
        break;
      case 'cancel':
        this.#machine.cancel(message.bundle);
        break;
      case 'heartbeat':
      case 'history':
        // An old one is worth nothing.
        if (!this.#paused && this.#refusal === undefined) this.#note(message);
        break;
      case 'roll':
        this.#machine.roll(message.tsi);
        this.#rollAsked = false;
        break;
      case 'rekey':
        this.#machine.rekey(message.from, message.to);
        break;
      case 'pause':
        this.#paused = message.paused;
        break;
      case 'stop':
        this.#stopping = true;
    }
  }

  #note({ type, asid, digest, body }: ToTransmit & { readonly type: 'heartbeat' | 'history' }): void {
    const size = body.length;
    if (type === 'history') this.#machine.note(asid, { digest, size, contentType: STATEMENT_TYPE }, body);
    else this.#machine.heartbeat(asid, { digest, size, contentType: HEARTBEAT_TYPE }, body);
  }

  /** Once a second: tells how it goes, and asks for a new session when one is due. */
  #look(): void {
    const now = performance.now();
    if (now < this.#statusDue) return;
    this.#statusDue = now + STATUS_MS;
    const why = this.#clock.stepped() ? 'clock' : this.#machine.worn ? 'worn' : undefined;
    if (why !== undefined && !this.#rollAsked) {
      this.#rollAsked = true;
      tell({ type: 'roll-wanted', why });
    }
    const { counters, pending, stalls, tsi } = this.#machine;
    const status = { tsi, pending, counters: { ...counters }, stalls: stalls.count, stalledNs: stalls.ns };
    const stageNs = { ...this.#machine.stageNs, depart: this.#departNs };
    tell({ type: 'status', status: { ...status, stageNs, sendErrors: this.#sendErrors, refusal: this.#refusal } });
  }

  /** Nothing to send until `at`: lets the event loop run, and wakes on a message. */
  async #idle(at: number, seen: number): Promise<void> {
    const ms = Math.min(LONGEST_WAIT_MS, Math.max(0, (at - nowNs()) / 1e6));
    if (ms < 1) return;
    await Atomics.waitAsync(options.wake, 0, seen, ms).value;
  }

  async #until(at: number): Promise<void> {
    // Where a datagram takes long there is little to catch up with: the thread looks at the clock for the last stretch.
    const awake = this.#machine.datagramNs > SLOW_NS ? AWAKE_NS : 0;
    for (let left = at - nowNs(); left > 0; left = at - nowNs()) {
      if (left > BLOCKING_WAIT_NS) await new Promise((resolve) => setTimeout(resolve, (left - BLOCKING_WAIT_NS) / 1e6));
      else if (left > awake) Atomics.wait(this.#sleep, 0, 0, (left - awake) / 1e6);
    }
  }

  async #send(batch: DatagramBatch): Promise<void> {
    for (let tries = 0; !this.#stopping; tries += 1) {
      try {
        await this.#sink.send(batch);
        this.#refusal = undefined;
        return;
      } catch (error) {
        if (!(error instanceof OperationalError)) throw error;
        this.#sendErrors += 1;
        if (this.#refusal === undefined) tell({ type: 'send-refused', code: error.code, reason: error.message });
        this.#refusal = error.message;
        await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_WAIT_MS, 2 ** Math.min(tries, 16))));
        this.#takeMessages();
        this.#look();
      }
    }
  }
}

const onNote = (text: string): void => tell({ type: 'note', text });
const sink = await openSink({
  host: options.host,
  port: options.port,
  io: options.io,
  maxPacingRate: options.rate === undefined ? undefined : queueRate(options.rate, HEADER_BYTES + options.symbolBytes),
  onNote,
});
const tags = await openTagAccelerator(sink.io);
// A thread that sleeps for tens of microseconds is woken when it said, not when it suits the kernel.
if (sink.io === 'native') await setTimerSlack(1);
const settings = {
  symbolBytes: options.symbolBytes,
  profile: makeProfile(options.profile),
  rate: options.rate ?? Infinity,
  outageMs: options.outageMs,
  groupBytes: options.groupBytes,
  statementLeadMs: options.statementLeadMs,
};
const machine = new SendMachine(
  options.tsi,
  options.keys.map((key) => makeLinkKey(key, tags.accelerate)),
  settings,
  {
    codec: createCodec(),
    source: new StagedObjects(options.storeRoot),
    wallSeconds: () => Math.floor(Date.now() / 1000),
    onEvent: (event) => {
      tell(event.type === 'pass-failed' ? { ...event, reason: String(event.error) } : event);
    },
    arena: Arena.create(sendArenaBytes(settings)),
    clock: nowNs,
  },
);
tell({ type: 'ready', io: sink.io, why: `${sink.why}; ${tags.why}` });
await new Transmitter(machine, sink).run();
