import type { DatagramBatch, LinkKey } from '@sluice/ports';
import { blocksOf, Framer } from './framer.ts';
import { announce, type OnAirFdt, Pass, type Run } from './pass.ts';
import { Pacer } from './pacer.ts';
import { SendSession } from './session.ts';
import {
  FDT_INTERVAL_NS,
  NS_PER_MS,
  type ObjectSource,
  type PassOrder,
  type SendCounters,
  type SendObject,
  type SendParts,
  type SendSettings,
} from './types.ts';

/** A heartbeat's FDT is good for a minute of sender time. */
const HEARTBEAT_LIFE_SECONDS = 60;

/** What may leave now: nothing before `at`. With no batch, ask again at `at` (Infinity: when there is something new). */
export interface Departure {
  readonly at: number;
  readonly batch: DatagramBatch | undefined;
}

interface Active {
  readonly pass: Pass;
  readonly runs: Iterator<Run>;
  run: Run | undefined;
  /** Datagrams of the run that have left. */
  gone: number;
  quietUntil: number;
  sentBytes: number;
}

/**
 * The sending half, without I/O: orders go in, datagrams in their order and time of departure come out.
 * The caller waits until `at`, sends, and asks again. Times are nanoseconds of one monotonic clock.
 */
export class SendMachine {
  readonly counters: SendCounters = {
    datagrams: 0,
    sourceSymbols: 0,
    repairSymbols: 0,
    fdtDatagrams: 0,
    heartbeats: 0,
  };
  readonly #keys: readonly LinkKey[];
  readonly #settings: SendSettings;
  readonly #parts: SendParts;
  readonly #pacer: Pacer;
  readonly #framer: Framer;
  readonly #orders: PassOrder[] = [];
  readonly #urgent: Uint8Array[] = [];
  #session: SendSession;
  #active: Active | undefined;
  #onAir: OnAirFdt[] = [];
  #buffer = new Uint8Array(0);

  constructor(tsi: number, keys: readonly LinkKey[], settings: SendSettings, parts: SendParts) {
    this.#keys = keys;
    this.#settings = settings;
    this.#parts = parts;
    this.#session = new SendSession(tsi, keys);
    this.#framer = new Framer(settings, parts, this.counters);
    this.#pacer = new Pacer(settings.rate, this.#framer.datagramBytes);
  }

  get tsi(): number {
    return this.#session.tsi;
  }

  /** True when the session's numbers are worn: `roll` before much more is sent. */
  get worn(): boolean {
    return this.#session.worn;
  }

  /** Airtime lost because the caller came late. */
  get stalls(): { readonly count: number; readonly ns: number } {
    return { count: this.#pacer.stalls, ns: this.#pacer.stalledNs };
  }

  /** Passes waiting or on air. */
  get pending(): number {
    return this.#orders.length + (this.#active === undefined ? 0 : 1);
  }

  /** Goes on in a new session from the next pass and heartbeat on (PROTOCOL.md S-2). */
  roll(tsi: number): void {
    this.#session = new SendSession(tsi, this.#keys);
  }

  submit(order: PassOrder): void {
    this.#orders.push(order);
  }

  /** Takes a bundle's passes out, on air or waiting. */
  cancel(bundle: string): void {
    for (let i = this.#orders.length - 1; i >= 0; i -= 1) {
      if (this.#orders[i]?.bundle === bundle) this.#orders.splice(i, 1);
    }
    if (this.#active?.pass.order.bundle === bundle) this.#active = undefined;
  }

  /** Queues a heartbeat: a one-symbol object and its FDT, ahead of all else (PROTOCOL.md section 7). */
  heartbeat(asid: number, object: SendObject, body: Uint8Array): void {
    if (body.length > this.#settings.symbolBytes) throw new Error('a heartbeat must fit in one symbol');
    const session = this.#session;
    const parts = { settings: this.#settings, parts: this.#parts };
    const [announced] = announce([object], asid, session, parts, HEARTBEAT_LIFE_SECONDS);
    if (announced === undefined) throw new Error('a heartbeat without an FDT Instance');
    this.#urgent.push(this.#fdtDatagrams(announced.fdt));
    const source: ObjectSource = {
      read: (_, offset, into) => {
        into.set(body.subarray(offset, offset + into.length));
      },
    };
    for (const ref of blocksOf(object, announced.toi, 0, this.#settings)) {
      const datagrams = new Uint8Array(ref.esis.length * this.#framer.datagramBytes);
      this.#framer.block(ref, session.tsi, asid, datagrams, Uint32Array.from(ref.esis.keys()), source);
      this.#urgent.push(this.#sealed(datagrams, session, asid));
    }
    this.counters.heartbeats += 1;
  }

  /** The next departure. The batch's bytes are valid until the next call. */
  depart(now: number): Departure {
    const at = this.#pacer.earliest(now);
    const urgent = this.#urgent.shift() ?? this.#dueFdt(now);
    if (urgent !== undefined) return this.#leave(urgent, at, this.#pacer.datagramNs);
    const active = this.#next(now);
    if (active === undefined) {
      this.#pacer.rest();
      return { at: Infinity, batch: undefined };
    }
    if (active.quietUntil > now) {
      this.#pacer.rest();
      return { at: active.quietUntil, batch: undefined };
    }
    const run = active.run;
    if (run?.type !== 'symbols') return { at: now, batch: undefined };
    const size = this.#framer.datagramBytes;
    const count = Math.min(this.#pacer.batch(run.spacingNs), run.count - active.gone);
    const bytes = run.slots.subarray(active.gone * size, (active.gone + count) * size);
    this.#sealed(bytes, run.session, run.asid);
    active.gone += count;
    if (active.gone === run.count) this.#finishRun(active, run, now);
    return this.#leave(bytes, at, run.spacingNs);
  }

  #leave(bytes: Uint8Array, at: number, spacingNs: number): Departure {
    const size = this.#framer.datagramBytes;
    const count = bytes.length / size;
    this.#pacer.take(at, count, spacingNs);
    this.counters.datagrams += count;
    return { at, batch: { bytes, size, count } };
  }

  #sealed(datagrams: Uint8Array, session: SendSession, asid: number): Uint8Array {
    const size = this.#framer.datagramBytes;
    for (let at = 0; at < datagrams.length; at += size) session.seal(datagrams.subarray(at, at + size), asid);
    return datagrams;
  }

  #dueFdt(now: number): Uint8Array | undefined {
    const fdt = this.#onAir.find((candidate) => candidate.due <= now);
    if (fdt === undefined) return undefined;
    const bytes = this.#fdtDatagrams(fdt);
    // The second sending comes soon, one and a half outages later: an outage over the first does not cost 250 ms.
    fdt.due = now + (fdt.repeats === 1 ? this.#settings.outageMs * 1.5 * NS_PER_MS : FDT_INTERVAL_NS);
    return bytes;
  }

  /** One sending of an FDT Instance; each sending brings other symbols of it. */
  #fdtDatagrams(fdt: OnAirFdt): Uint8Array {
    const { session, asid } = fdt;
    const bytes = this.#framer.fdt(fdt.document, fdt.instanceId, fdt.repeats, session.tsi, asid);
    fdt.repeats += 1;
    this.counters.fdtDatagrams += bytes.length / this.#framer.datagramBytes;
    return this.#sealed(bytes, session, asid);
  }

  /** The pass on air with a run that has datagrams left, or a quiet time; begins the next pass when there is none. */
  #next(now: number): Active | undefined {
    for (;;) {
      const active = this.#active ?? this.#begin();
      if (active === undefined) return undefined;
      if (active.quietUntil > now || active.run !== undefined) return active;
      const step = this.#step(active);
      if (step === undefined) continue;
      if (step.type === 'quiet') {
        active.quietUntil = now + step.ns;
        continue;
      }
      active.run = step;
      active.gone = 0;
      this.#onAir = [...step.fdts];
      return active;
    }
  }

  /** The next run of the pass; ends the pass, well or with its error, when there is none. */
  #step(active: Active): Run | undefined {
    const { bundle, pass } = active.pass.order;
    try {
      const step = active.runs.next();
      if (step.done !== true) return step.value;
      this.#parts.onEvent({ type: 'pass-done', bundle, pass });
    } catch (error) {
      this.#parts.onEvent({ type: 'pass-failed', bundle, pass, error });
    }
    this.#active = undefined;
    this.#onAir = [];
    return undefined;
  }

  #begin(): Active | undefined {
    const order = this.#orders.shift();
    if (order === undefined) return undefined;
    const pass = new Pass(order, this.#session, {
      settings: this.#settings,
      parts: this.#parts,
      framer: this.#framer,
      datagramNs: this.#pacer.datagramNs,
      buffer: (bytes) => this.#grown(bytes),
    });
    const runs = pass.runs();
    this.#active = { pass, runs, run: undefined, gone: 0, quietUntil: 0, sentBytes: 0 };
    return this.#active;
  }

  #finishRun(active: Active, run: Run & { type: 'symbols' }, now: number): void {
    active.run = undefined;
    active.sentBytes += run.sourceBytes;
    // Once more at the end, for a receiver that missed every earlier sending.
    for (const fdt of this.#onAir) {
      this.#urgent.push(this.#fdtDatagrams(fdt));
      fdt.due = now + FDT_INTERVAL_NS;
    }
    this.#parts.onEvent({
      type: 'progress',
      bundle: active.pass.order.bundle,
      pass: active.pass.order.pass,
      sentBytes: Math.min(active.sentBytes, active.pass.totalBytes),
      totalBytes: active.pass.totalBytes,
    });
  }

  #grown(bytes: number): Uint8Array {
    if (this.#buffer.length < bytes) this.#buffer = new Uint8Array(bytes);
    return this.#buffer.subarray(0, bytes);
  }
}
