import type { DatagramBatch, LinkKey } from '@sluice/ports';
import { Arena } from '@sluice/wasm';
import { blocksOf, Framer } from './framer.ts';
import { openSendKernel } from './kernel.ts';
import { isAhead } from './carousel.ts';
import { EpochWait } from './epoch-wait.ts';
import { announce, type OnAirFdt, Pass, type Run, type Step } from './pass.ts';
import { BATCH_MAX, Pacer } from './pacer.ts';
import { Sealer, SendSession } from './session.ts';
import { Stopwatch } from '../stopwatch.ts';
import {
  FDT_INTERVAL_NS,
  NS_PER_MS,
  type ObjectSource,
  type PassOrder,
  plainArenaBytes,
  type SendCounters,
  type SendObject,
  type SendParts,
  SEND_STOPS,
  type SendSettings,
  type SendStop,
  slotBytes,
} from './types.ts';

/** A heartbeat's FDT is good for a minute of sender time. */
const HEARTBEAT_LIFE_SECONDS = 60;
/** Most of the airtime that the sendings of one FDT Instance may take: at a low rate it is repeated less often. */
const FDT_SHARE = 0.25;
/** Symbols of a heartbeat, repair and all, at most: a block of one. */
const HEARTBEAT_SYMBOLS = 255;

/** What may leave now: nothing before `at`. With no batch, ask again at `at` (Infinity: when there is something new). */
export interface Departure {
  readonly at: number;
  readonly batch: DatagramBatch | undefined;
}

interface Active {
  readonly pass: Pass;
  readonly steps: Iterator<Step>;
  run: (Run & { readonly type: 'symbols' }) | undefined;
  /** The run after this one, once it is ready. */
  ahead: Run | undefined;
  /** There is no run after `ahead`: the pass ends with it, or failed. */
  ended: { readonly error?: unknown } | undefined;
  /** Datagrams of the run that have left. */
  gone: number;
  quietUntil: number;
  sentBytes: number;
  sentBlocks: number;
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
  /** Nothing leaves in the session before it is over. */
  #wait: EpochWait;
  /** The session to go on in once no pass is on air, and it may be used. */
  #rolled: { readonly session: SendSession; readonly wait: EpochWait } | undefined;
  #active: Active | undefined;
  #onAir: readonly OnAirFdt[] = [];
  readonly #arena: Arena;
  readonly #sealer: Sealer | undefined;
  readonly #watch: Stopwatch<SendStop>;
  /** Addresses of the slots of two runs: one leaves while the next is made. */
  readonly #buffers: readonly [number, number];
  #turn = 0;
  readonly #heartbeatAt: number;

  constructor(tsi: number, keys: readonly LinkKey[], settings: SendSettings, parts: SendParts) {
    this.#keys = keys;
    this.#settings = settings;
    this.#parts = parts;
    this.#session = new SendSession(tsi, keys);
    this.#wait = this.#waitFor(tsi);
    this.#watch = new Stopwatch(SEND_STOPS, parts.clock);
    const arena = parts.arena ?? Arena.create(plainArenaBytes(settings), true);
    const kernel = parts.arena === undefined ? undefined : openSendKernel(arena);
    this.#arena = arena;
    this.#framer = new Framer(settings, parts, this.counters, arena, kernel, this.#watch);
    this.#sealer = kernel === undefined ? undefined : new Sealer(arena, kernel, BATCH_MAX);
    this.#pacer = new Pacer(settings.rate, this.#framer.datagramBytes);
    this.#heartbeatAt = arena.take(HEARTBEAT_SYMBOLS * this.#framer.datagramBytes);
    this.#buffers = [arena.take(slotBytes(settings)), arena.take(slotBytes(settings))];
  }

  get tsi(): number {
    return this.#session.tsi;
  }

  /** True when the session's numbers are worn: `roll` before much more is sent. */
  get worn(): boolean {
    return (this.#rolled?.session ?? this.#session).worn;
  }

  /** Nanoseconds that each stop has taken so far, where there is a clock. */
  get stageNs(): Readonly<Record<SendStop, number>> {
    return this.#watch.ns;
  }

  /** Link time of one datagram at the ceiling, nanoseconds; 0 without one. */
  get datagramNs(): number {
    return this.#pacer.datagramNs;
  }

  /** Airtime lost because the caller came late. */
  get stalls(): { readonly count: number; readonly ns: number } {
    return { count: this.#pacer.stalls, ns: this.#pacer.stalledNs };
  }

  /** Passes waiting or on air. */
  get pending(): number {
    return this.#orders.length + (this.#active === undefined ? 0 : 1);
  }

  /**
   * Goes on in a new session once no pass is on air (PROTOCOL.md S-2). Until then heartbeats stay in the old one: the
   * first datagram of a new session would leave the pass 5 s before receivers close the session it is in.
   */
  roll(tsi: number): void {
    this.#rolled = { session: new SendSession(tsi, this.#keys), wait: this.#waitFor(tsi) };
    this.#takeUpRolled();
  }

  /** Takes a pass to be sent, in its place among those that wait. */
  submit(order: PassOrder): void {
    const behind = this.#orders.findIndex((other) => isAhead(order, other));
    this.#orders.splice(behind < 0 ? this.#orders.length : behind, 0, order);
  }

  /** Passes that wait with one key go with another. The one on air ends with the key that it began with. */
  rekey(from: number, to: number): void {
    this.#orders.forEach((order, i) => {
      if (order.asid === from) this.#orders[i] = { ...order, asid: to };
    });
  }

  /** Takes a bundle's passes out, on air or waiting. */
  cancel(bundle: string): void {
    for (let i = this.#orders.length - 1; i >= 0; i -= 1) {
      if (this.#orders[i]?.bundle === bundle) this.#orders.splice(i, 1);
    }
    if (this.#active?.pass.order.bundle === bundle) this.#endPass();
  }

  /** Queues a heartbeat: a one-symbol object and its FDT, ahead of all else (PROTOCOL.md section 7). */
  heartbeat(asid: number, object: SendObject, body: Uint8Array): void {
    if (body.length > this.#settings.symbolBytes) throw new Error('a heartbeat must fit in one symbol');
    this.note(asid, object, body);
    this.counters.heartbeats += 1;
  }

  /** Queues a small object that no pass brings and its FDT, ahead of all else: a heartbeat, a history. */
  note(asid: number, object: SendObject, body: Uint8Array): void {
    const session = this.#session;
    const parts = { settings: this.#settings, parts: this.#parts };
    const [announced] = announce([object], asid, session, parts, HEARTBEAT_LIFE_SECONDS);
    if (announced === undefined) throw new Error('an object without an FDT Instance');
    this.#urgent.push(this.#fdtDatagrams(announced.fdt));
    const source: ObjectSource = {
      read: (_, offset, into) => {
        into.set(body.subarray(offset, offset + into.length));
      },
    };
    for (const ref of blocksOf(object, announced.toi, 0, this.#settings)) {
      const at = this.#heartbeatAt;
      this.#framer.block(ref, session.tsi, asid, at, Uint32Array.from(ref.esis.keys()), source);
      const datagrams = this.#arena.bytes.slice(at, at + ref.esis.length * this.#framer.datagramBytes);
      this.#urgent.push(this.#sealed(datagrams, session, asid));
    }
  }

  /** The next departure. The batch's bytes are valid until the next call. */
  depart(now: number): Departure {
    this.#takeUpRolled(now);
    const until = this.#wait.until(now);
    if (until !== undefined) return { at: until, batch: undefined };
    const at = this.#pacer.earliest(now);
    // First of all: a run that begins now has its FDT Instances on air before its symbols (O-4).
    const active = this.#urgent.length > 0 ? this.#active : this.#next(now);
    const ahead = this.#urgent.shift() ?? this.#dueFdt(now);
    if (ahead !== undefined) return this.#ahead(ahead, at);
    if (active === undefined) {
      this.#pacer.rest();
      return { at: Infinity, batch: undefined };
    }
    if (active.quietUntil > now) {
      this.#pacer.rest();
      return { at: active.quietUntil, batch: undefined };
    }
    const run = active.run;
    if (run === undefined) return { at: now, batch: undefined };
    // While there is time anyway, a block of the next run is made.
    if (at > now && active.ahead === undefined && active.ended === undefined) this.#work(active);
    const size = this.#framer.datagramBytes;
    const count = Math.min(this.#pacer.batch(run.spacingNs), run.count - active.gone);
    const start = run.slots + active.gone * size;
    const bytes = this.#arena.view(start, count * size);
    this.#watch.start();
    if (this.#sealer === undefined) this.#sealed(bytes, run.session, run.asid);
    else run.session.sealRun(start, size, count, run.asid, this.#sealer);
    this.#watch.lap('tag');
    active.gone += count;
    if (active.gone === run.count) this.#finishRun(active, run);
    return this.#leave(bytes, at, run.spacingNs);
  }

  /** What goes ahead of the symbols leaves in batches as short as theirs. */
  #ahead(datagrams: Uint8Array, at: number): Departure {
    const bytes = this.#pacer.batch(this.#pacer.datagramNs) * this.#framer.datagramBytes;
    if (datagrams.length > bytes) this.#urgent.unshift(datagrams.subarray(bytes));
    return this.#leave(datagrams.subarray(0, bytes), at, this.#pacer.datagramNs);
  }

  #leave(bytes: Uint8Array, at: number, spacingNs: number): Departure {
    const size = this.#framer.datagramBytes;
    const count = bytes.length / size;
    this.#pacer.take(at, count, spacingNs);
    this.counters.datagrams += count;
    return { at, batch: { bytes, size, count } };
  }

  #sealed(datagrams: Uint8Array, session: SendSession, asid: number): Uint8Array {
    session.seal(datagrams, this.#framer.datagramBytes, asid);
    return datagrams;
  }

  #dueFdt(now: number): Uint8Array | undefined {
    const fdt = this.#onAir.find((candidate) => candidate.due <= now);
    if (fdt === undefined) return undefined;
    const bytes = this.#fdtDatagrams(fdt);
    // The second sending comes soon, one and a half outages later: an outage over the first does not cost 250 ms.
    const interval = fdt.repeats === 1 ? this.#settings.outageMs * 1.5 * NS_PER_MS : FDT_INTERVAL_NS;
    const airtime = (bytes.length / this.#framer.datagramBytes) * this.#pacer.datagramNs;
    fdt.due = now + Math.max(interval, airtime / FDT_SHARE);
    return bytes;
  }

  /** What goes off air is sent once more, for a receiver that missed every earlier sending. */
  #putOnAir(fdts: readonly OnAirFdt[]): void {
    for (const fdt of this.#onAir) if (!fdts.includes(fdt)) this.#urgent.push(this.#fdtDatagrams(fdt));
    this.#onAir = fdts;
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
      const { ahead } = active;
      active.ahead = undefined;
      if (ahead?.type === 'quiet') {
        active.quietUntil = now + ahead.ns;
        this.#putOnAir([]);
      } else if (ahead !== undefined) {
        active.run = ahead;
        active.gone = 0;
        this.#putOnAir(ahead.fdts);
      } else if (active.ended !== undefined) this.#end(active, active.ended);
      else this.#work(active);
    }
  }

  /** A block of the run after the present one, or the end of the pass. */
  #work(active: Active): void {
    try {
      const step = active.steps.next();
      if (step.done === true) active.ended = {};
      else if (step.value.type !== 'working') active.ahead = step.value;
    } catch (error) {
      active.ended = { error };
    }
  }

  /** The pass ends, well or with its error. */
  #end(active: Active, ended: { readonly error?: unknown }): void {
    const { bundle, pass, kind = 'full' } = active.pass.order;
    if (!('error' in ended)) this.#putOnAir([]);
    this.#endPass();
    this.#parts.onEvent(
      'error' in ended
        ? { type: 'pass-failed', bundle, pass, kind, error: ended.error }
        : { type: 'pass-done', bundle, pass, kind },
    );
  }

  #endPass(): void {
    this.#active = undefined;
    this.#onAir = [];
    this.#takeUpRolled();
  }

  /** Until the next session may be used, what is sent is of the one before. */
  #takeUpRolled(now?: number): void {
    if (this.#rolled?.wait.over(now) !== true || this.#active !== undefined) return;
    this.#session = this.#rolled.session;
    this.#wait = this.#rolled.wait;
    this.#rolled = undefined;
  }

  #waitFor(tsi: number): EpochWait {
    const { onEvent, wallSeconds } = this.#parts;
    const onAhead = (seconds: number): void => onEvent({ type: 'epoch-ahead', tsi, seconds });
    return new EpochWait(tsi, { wallSeconds, onAhead });
  }

  #begin(): Active | undefined {
    const order = this.#orders.shift();
    if (order === undefined) return undefined;
    const pass = new Pass(order, this.#session, {
      settings: this.#settings,
      parts: this.#parts,
      framer: this.#framer,
      datagramNs: this.#pacer.datagramNs,
      slotBytes: slotBytes(this.#settings),
      buffer: () => {
        this.#turn = 1 - this.#turn;
        return this.#buffers[this.#turn] ?? 0;
      },
    });
    const steps = pass.steps();
    const idle = { run: undefined, ahead: undefined, ended: undefined };
    this.#active = { pass, steps, ...idle, gone: 0, quietUntil: 0, sentBytes: 0, sentBlocks: order.from ?? 0 };
    return this.#active;
  }

  #finishRun(active: Active, run: Run & { type: 'symbols' }): void {
    active.run = undefined;
    active.sentBytes += run.sourceBytes;
    active.sentBlocks += run.blocks;
    const { bundle, pass, kind = 'full' } = active.pass.order;
    this.#parts.onEvent({
      type: 'progress',
      bundle,
      pass,
      kind,
      sentBlocks: active.sentBlocks,
      sentBytes: Math.min(active.sentBytes, active.pass.totalBytes),
      totalBytes: active.pass.totalBytes,
    });
  }
}
