import { createCodec, makeProfile } from '@sluice/fec';
import { type DatagramBatch, type DatagramSink, OperationalError } from '@sluice/ports';
import { type SendSettings, SendMachine, type SendParts } from '@sluice/transfer';
import { makeLinkKey, type TagAccelerator } from '@sluice/trust';
import type { FromTransmit, ToTransmit, TransmitOptions } from './messages.ts';
import { StagedObjects } from './staged-objects.ts';

const LONGEST_WAIT_MS = 1000;
const STATUS_MS = 1000;
/** Wall and monotonic clock may disagree by this much before the session rolls (PROTOCOL.md S-2). */
const CLOCK_STEP_SECONDS = 2;
const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';
const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';

export const nowNs = (): number => performance.now() * 1e6;

export const sendSettings = (options: TransmitOptions): SendSettings => ({
  symbolBytes: options.symbolBytes,
  profile: makeProfile(options.profile),
  rate: options.rate ?? Infinity,
  outageMs: options.outageMs,
  groupBytes: options.groupBytes,
  statementLeadMs: options.statementLeadMs,
});

/** The machine that the transmit thread runs. */
export function openMachine(
  options: TransmitOptions,
  tell: (message: FromTransmit) => void,
  parts: Pick<SendParts, 'arena' | 'clock'> & { readonly accelerate?: TagAccelerator | undefined },
): SendMachine {
  const { accelerate, ...rest } = parts;
  const source = new StagedObjects(options.storeRoot);
  return new SendMachine(
    options.tsi,
    options.keys.map((key) => makeLinkKey(key, accelerate)),
    sendSettings(options),
    {
      codec: createCodec(),
      source,
      wallSeconds: () => Math.floor(Date.now() / 1000),
      onEvent: (event) => {
        if (event.type === 'pass-done' || event.type === 'pass-failed') source.close();
        tell(event.type === 'pass-failed' ? { ...event, reason: String(event.error) } : event);
      },
      ...rest,
    },
  );
}

/** What the loop has around it: a thread that waits for real, or the virtual time of a simulation. */
export interface LoopParts {
  readonly machine: SendMachine;
  readonly sink: DatagramSink;
  readonly tell: (message: FromTransmit) => void;
  /** What was posted since it was asked last. */
  readonly posted: () => Iterable<ToTransmit>;
  /** Resolves as soon as something is posted, or after this time. */
  readonly idle: (ms: number) => Promise<void>;
  /** Resolves at a time, nanoseconds of the monotonic clock: never before it. */
  readonly until: (at: number) => Promise<void>;
}

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

/** Stops 3 to 7: encodes, frames, paces and sends, until it is told to stop. */
export class TransmitLoop {
  readonly #parts: LoopParts;
  readonly #clock = new ClockWatch();
  #sendErrors = 0;
  #departNs = 0;
  /** Why the kernel takes nothing just now. */
  #refusal: string | undefined;
  #paused = false;
  #stopping = false;
  #rollAsked = false;
  #statusDue = 0;

  constructor(parts: LoopParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { machine, sink, until } = this.#parts;
    while (!this.#stopping) {
      this.#hear();
      this.#look();
      const { at, batch } = this.#paused ? { at: Infinity, batch: undefined } : machine.depart(nowNs());
      if (batch === undefined) await this.#idle(at);
      else {
        await until(at);
        const began = nowNs();
        await this.#send(batch);
        this.#departNs += nowNs() - began;
      }
    }
    sink.close();
  }

  #hear(): void {
    for (const message of this.#parts.posted()) this.#take(message);
  }

  #take(message: ToTransmit): void {
    const { machine } = this.#parts;
    switch (message.type) {
      case 'pass':
        machine.submit(message.order);
        break;
      case 'cancel':
        machine.cancel(message.bundle);
        break;
      case 'heartbeat':
      case 'history':
        // An old one is worth nothing.
        if (!this.#paused && this.#refusal === undefined) this.#note(message);
        break;
      case 'roll':
        machine.roll(message.tsi);
        this.#rollAsked = false;
        break;
      case 'rekey':
        machine.rekey(message.from, message.to);
        break;
      case 'pause':
        this.#paused = message.paused;
        break;
      case 'stop':
        this.#stopping = true;
    }
  }

  #note({ type, asid, digest, body }: ToTransmit & { readonly type: 'heartbeat' | 'history' }): void {
    const { machine } = this.#parts;
    const size = body.length;
    if (type === 'history') machine.note(asid, { digest, size, contentType: STATEMENT_TYPE }, body);
    else machine.heartbeat(asid, { digest, size, contentType: HEARTBEAT_TYPE }, body);
  }

  /** Once a second: tells how it goes, and asks for a new session when one is due. */
  #look(): void {
    const { machine, tell } = this.#parts;
    const now = performance.now();
    if (now < this.#statusDue) return;
    this.#statusDue = now + STATUS_MS;
    const why = this.#clock.stepped() ? 'clock' : machine.worn ? 'worn' : undefined;
    if (why !== undefined && !this.#rollAsked) {
      this.#rollAsked = true;
      tell({ type: 'roll-wanted', why });
    }
    const { counters, pending, stalls, tsi } = machine;
    const status = { tsi, pending, counters: { ...counters }, stalls: stalls.count, stalledNs: stalls.ns };
    const stageNs = { ...machine.stageNs, depart: this.#departNs };
    tell({ type: 'status', status: { ...status, stageNs, sendErrors: this.#sendErrors, refusal: this.#refusal } });
  }

  /** Nothing to send until `at`: others get their turn, and a message ends it. */
  async #idle(at: number): Promise<void> {
    const { idle, until } = this.#parts;
    const ms = Math.min(LONGEST_WAIT_MS, Math.max(0, (at - nowNs()) / 1e6));
    if (ms < 1) await until(at);
    else await idle(ms);
  }

  async #send(batch: DatagramBatch): Promise<void> {
    const { sink, tell } = this.#parts;
    for (let tries = 0; !this.#stopping; tries += 1) {
      try {
        await sink.send(batch);
        this.#refusal = undefined;
        return;
      } catch (error) {
        if (!(error instanceof OperationalError)) throw error;
        this.#sendErrors += 1;
        if (this.#refusal === undefined) tell({ type: 'send-refused', code: error.code, reason: error.message });
        this.#refusal = error.message;
        await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_WAIT_MS, 2 ** Math.min(tries, 16))));
        this.#hear();
        this.#look();
      }
    }
  }
}
