import {
  classify,
  FDT_HEADER_BYTES,
  HEADER_BYTES,
  readAsid,
  readEsi,
  readFdtHeader,
  readSbn,
  readSn,
  readToi,
  readTsi,
  TAG_OFFSET,
  tsiClass,
} from '@sluice/alc';
import type { Authenticator, DatagramCode, LinkKey, Verdict } from '@sluice/ports';
import { Arena } from '@sluice/wasm';
import { blocksOf, type HandoverItem, laterOf, namesOf } from './handover.ts';
import { HOST, PLACE, ReceiveKernel } from './kernel.ts';
import type { ReceivingObject } from './object.ts';
import { Placement } from './placement.ts';
import { type ChannelState, infoOf, ReceiveSession } from './session.ts';
import { Stopwatch } from '../stopwatch.ts';
import { plainArenaBytes, RECEIVE_STOPS, type ReceiveStop } from './types.ts';
import type { JudgedBatch, ReceiveCounters, ReceiveLimits, ReceiveParts, SeenSession } from './types.ts';
import { ReplayWindow, WINDOW_BYTES } from './window.ts';

/** The previous live session stays open that long (PROTOCOL.md S-3). */
const LINGER_NS = 5e9;
/** Media and repair sessions open at once (PROTOCOL.md S-4). */
const SIDE_SESSIONS = 4;
/** Keys that a datagram can name. */
const ASIDS = 16;
/** Session keys kept for sessions that are not open. */
const STRANGERS = 16;
/** Sessions open at once: the live one, the one it replaced, and those of S-4. One more while they change. */
const SESSIONS = SIDE_SESSIONS + 3;

/** A session and key whose datagrams the kernel judges. */
interface Followed {
  readonly session: ReceiveSession;
  readonly key: LinkKey;
}

/**
 * The receiving half, without I/O: stops 9 (admit), 10 (gather) and 11 (recover). Datagrams go in one at a time,
 * verdicts come out; whole blocks go to the spool port, the rest is told through events.
 * Times are nanoseconds of one monotonic clock.
 */
export class ReceiveMachine {
  readonly counters: ReceiveCounters = {
    verdicts: new Map(),
    authentic: Array.from({ length: ASIDS }, () => 0),
    blocks: 0,
    recoveredSymbols: 0,
    evictedSymbols: 0,
    unknownToiDropped: 0,
  };
  readonly #parts: ReceiveParts;
  readonly #limits: ReceiveLimits;
  readonly #arena: Arena;
  readonly #placement: Placement;
  readonly #watch: Stopwatch<ReceiveStop>;
  readonly #kernel: ReceiveKernel | undefined;
  /** Addresses of replay windows that are nobody's. */
  readonly #windows: number[];
  readonly #sessions = new Map<number, ReceiveSession>();
  /** Keys derived for sessions that are not open, by TSI and ASID: a few, oldest out. */
  readonly #strangers = new Map<number, Authenticator>();
  #highest: number;
  #lostInClosed = 0;
  #followed: Followed | undefined;
  /** Keys that count no more, by ASID. */
  readonly #ended = new Set<number>();
  /** Whose authentic datagram came last that the kernel did not judge. */
  #latest: Followed | undefined;
  /** The live session that an earlier run followed, and how far. */
  #seen: SeenSession | undefined;
  /** What TOIs of the live session stand for by the word of an earlier run, until that session goes on. */
  #named: (HandoverItem & { readonly type: 'name' })[] = [];
  /** Verdicts of the present batch that the kernel did not give. */
  #ours: Verdict[] = [];

  /**
   * @param highestLive the highest live TSI ever accepted, 0 for none (PROTOCOL.md S-3).
   * @param seen how far an earlier run followed it: what it saw then is no news now.
   */
  constructor(parts: ReceiveParts, limits: ReceiveLimits, highestLive: number, seen?: SeenSession) {
    this.#seen = seen;
    this.#parts = parts;
    this.#limits = limits;
    const arena = parts.arena ?? Arena.create(plainArenaBytes(limits), true);
    this.#arena = arena;
    this.#watch = new Stopwatch(RECEIVE_STOPS, parts.clock);
    this.#kernel = parts.arena === undefined ? undefined : ReceiveKernel.open(arena);
    this.#placement = new Placement(arena, parts, limits, this.counters, this.#kernel?.cache);
    this.#windows = Array.from({ length: SESSIONS }, () => arena.take(WINDOW_BYTES));
    this.#highest = highestLive;
  }

  /** Where batches are described before `receiveRuns`, if the kernel is there: three words a run, as `kernel.ts` says. */
  get runs(): Uint32Array | undefined {
    return this.#kernel?.runs;
  }

  /** Nanoseconds that each stop has taken for batches so far, where there is a clock. */
  get stageNs(): Readonly<Record<ReceiveStop, number>> {
    return this.#watch.ns;
  }

  /** The highest live TSI accepted. */
  get highestLive(): number {
    return this.#highest;
  }

  /** How far the live session is; undefined before its first datagram. */
  get seen(): SeenSession | undefined {
    const session = this.#sessions.get(this.#highest);
    return session === undefined ? undefined : { tsi: session.tsi, sn: session.window.highest };
  }

  /** Bytes held for blocks not yet whole. */
  get blockBytes(): number {
    return this.#placement.memory.used;
  }

  /** Datagrams that the sequence numbers say were sent and that did not come. */
  get lost(): number {
    let lost = this.#lostInClosed;
    for (const session of this.#sessions.values()) lost += session.window.missing;
    return lost;
  }

  /** Objects followed, whole or not. */
  objects(): Iterable<ReceivingObject> {
    return this.#placement.objects();
  }

  /** What was received and would be lost with this machine, in the order in which `takeOver` of the next one wants it. */
  *handover(): Generator<HandoverItem> {
    const session = this.#sessions.get(this.#highest);
    // Where the live session has not gone on yet, what was taken over goes on to the next.
    const seen = this.seen ?? this.#seen;
    if (seen !== undefined) yield { type: 'seen', tsi: seen.tsi, sn: seen.sn };
    yield* session === undefined ? this.#named : namesOf(session);
    for (const object of this.#placement.objects()) yield* blocksOf(object);
  }

  /**
   * Takes what an earlier run held, before the first datagram. What no key of now stands for is left out. Bytes of symbols
   * that are held by it.
   */
  takeOver(item: HandoverItem): number {
    if (item.type === 'seen') {
      this.#seen = laterOf(item, this.#seen);
      return 0;
    }
    const key = this.#parts.keys[item.info.asid];
    if (key?.channel !== item.info.channel || this.#ended.has(key.asid)) return 0;
    if (item.type === 'block') return this.#placement.restore(item);
    this.#named.push(item);
    return 0;
  }

  /** Judges one datagram, of `length` bytes at `offset`, and uses it. */
  receive(bytes: Uint8Array, offset: number, length: number, now: number): Verdict {
    const verdict = this.#admit(bytes, offset, length, now);
    this.#count(verdict);
    return verdict;
  }

  /**
   * Judges and uses the datagrams of the first `count` of `runs`, which lie in the arena: as `receive` would, one after the
   * other. How many they were.
   */
  receiveRuns(count: number, now: number, tap?: (batch: JudgedBatch) => void): number {
    const kernel = this.#kernel;
    if (kernel === undefined) throw new Error('there is no kernel to judge batches');
    this.#watch.start();
    const datagrams = kernel.split(count);
    this.#watch.lap('split');
    const followed = this.#followed;
    this.#latest = undefined;
    let candidates = 0;
    if (followed === undefined) kernel.codes.fill(HOST, 0, datagrams);
    else candidates = kernel.admit(datagrams, followed.session.authenticator(followed.key), this.#watch);
    if (followed !== undefined && candidates > 0) followed.session.lastSeen = now;
    for (let i = kernel.place(0, datagrams); i < datagrams; i = kernel.place(i + 1, datagrams)) {
      const verdict = this.#judge(kernel, i, now);
      if (tap !== undefined) this.#ours[i] = verdict;
    }
    const authentic = kernel.drain(this.counters.verdicts);
    if (followed !== undefined) this.#authentic(followed.key, authentic);
    this.#watch.lap('gather');
    if (tap !== undefined) this.#show(kernel, datagrams, tap);
    if (candidates === 0) this.#followLatest(kernel);
    return datagrams;
  }

  /** What the kernel leaves to us of one datagram. */
  #judge(kernel: ReceiveKernel, index: number, now: number): Verdict {
    const offset = kernel.offsets[index] ?? 0;
    const length = kernel.lengths[index] ?? 0;
    const { bytes } = this.#arena;
    const code = kernel.codes[index];
    const followed = this.#followed;
    if (code === HOST || followed === undefined) return this.receive(bytes, offset, length, now);
    const [toi, sbn] = [readToi(bytes, offset), readSbn(bytes, offset)];
    let verdict: Verdict;
    if (code === PLACE) {
      const { session, key } = followed;
      const channel = session.channel(key, this.#parts.codec, this.#limits);
      const symbol = bytes.subarray(offset + HEADER_BYTES, offset + length);
      verdict = this.#placement.use(session, channel, toi, sbn, readEsi(bytes, offset), symbol);
      const entry = channel.tois.get(toi);
      if (entry?.type === 'object') kernel.cache.install(toi, sbn, entry.object);
    } else {
      const object = kernel.cache.owner(toi, sbn);
      if (object === undefined) throw new Error("the kernel made a block whole that is nobody's");
      this.#watch.lap('gather');
      verdict = this.#placement.finish(object, sbn);
      this.#watch.lap('recover');
    }
    this.#count(verdict);
    this.#authentic(followed.key, 1);
    return verdict;
  }

  #show(kernel: ReceiveKernel, count: number, tap: (batch: JudgedBatch) => void): void {
    const verdicts = Array.from({ length: count }, (_, i) => this.#ours[i] ?? kernel.verdict(i));
    this.#ours = [];
    tap({ bytes: this.#arena.bytes, offsets: kernel.offsets, lengths: kernel.lengths, count, verdicts });
  }

  #followLatest(kernel: ReceiveKernel): void {
    if (this.#latest === undefined) return;
    const { session, key } = this.#latest;
    if (session.windowAt === 0 || this.#sessions.get(session.tsi) !== session) return;
    this.#followed = { session, key };
    kernel.follow(session.tsi, key.asid, session.datagramBytes, session.windowAt);
  }

  #count(verdict: Verdict): void {
    this.counters.verdicts.set(verdict, (this.counters.verdicts.get(verdict) ?? 0) + 1);
  }

  #authentic({ asid }: LinkKey, datagrams: number): void {
    this.counters.authentic[asid] = (this.counters.authentic[asid] ?? 0) + datagrams;
  }

  /** Datagrams that name this key are refused from now on (PROTOCOL.md A-9); what came by it before stays. */
  endKey(asid: number): void {
    this.#ended.add(asid);
    if (this.#followed?.key.asid === asid) this.#unfollow();
  }

  #unfollow(): void {
    this.#followed = undefined;
    this.#kernel?.follow(0, 0, 0, 0);
  }

  /** Lets time pass: closes the session that a newer one has replaced. */
  tick(now: number): void {
    for (const session of this.#sessions.values()) if (session.closesAt <= now) this.#close(session);
  }

  /** Drops objects, whole or not, and that any was complete: what comes of them later is asked of the spool anew. */
  forget(channel: string, ...keys: readonly string[]): void {
    for (const key of keys) this.#placement.take(channel, key);
    for (const session of this.#sessions.values()) {
      for (const state of session.channels) {
        if (state.key.channel === channel) for (const key of keys) refuse(state, key);
      }
    }
  }

  #admit(bytes: Uint8Array, offset: number, length: number, now: number): Verdict {
    const kind = classify(bytes, offset, length);
    if (kind !== 'object' && kind !== 'fdt') return kind;
    const key = this.#parts.keys[readAsid(bytes, offset)];
    if (key === undefined) return 'unknown-asid';
    if (this.#ended.has(key.asid)) return 'key-ended';
    const tsi = readTsi(bytes, offset);
    const sn = readSn(bytes, offset);
    const open = this.#sessions.get(tsi);
    if (open?.window.has(sn) === true) return 'replayed';
    const datagram = bytes.subarray(offset, offset + length);
    const authenticator = open?.authenticator(key) ?? this.#stranger(tsi, key);
    if (!authenticator.verify(datagram, TAG_OFFSET)) return 'bad-tag';
    const session = open ?? this.#welcome(tsi, length, now);
    if (typeof session === 'string') return session;
    // The first of a session that an earlier run followed.
    if (open === undefined && session.window.has(sn)) return 'replayed';
    session.window.add(sn);
    session.lastSeen = now;
    this.#authentic(key, 1);
    // A datagram of another length has used up its number: sent again, it is no news.
    if (session.datagramBytes !== length) return 'bad-length';
    this.#latest = { session, key };
    const channel = session.channel(key, this.#parts.codec, this.#limits);
    if (kind === 'fdt') return this.#fdt(session, channel, datagram);
    const [toi, sbn, esi] = [readToi(datagram, 0), readSbn(datagram, 0), readEsi(datagram, 0)];
    return this.#placement.use(session, channel, toi, sbn, esi, datagram.subarray(HEADER_BYTES));
  }

  #stranger(tsi: number, key: LinkKey): Authenticator {
    const name = tsi * 16 + key.asid;
    const known = this.#strangers.get(name);
    if (known !== undefined) return known;
    if (this.#strangers.size >= STRANGERS) {
      for (const oldest of this.#strangers.keys()) {
        this.#strangers.delete(oldest);
        break;
      }
    }
    const made = key.session(tsi);
    this.#strangers.set(name, made);
    return made;
  }

  /** Opens the session of an authentic datagram, or says why not. */
  #welcome(tsi: number, length: number, now: number): ReceiveSession | DatagramCode {
    if (tsiClass(tsi) === 'live') {
      if (tsi < this.#highest) {
        this.#parts.onEvent({ type: 'epoch-went-back', tsi, highest: this.#highest });
        return 'old-session';
      }
      this.#replaceLive(tsi, now);
    } else this.#makeRoom();
    const windowAt = this.#windows.pop();
    const session = new ReceiveSession(
      tsi,
      length,
      windowAt,
      windowAt === undefined ? undefined : this.#window(windowAt),
    );
    if (this.#seen?.tsi === tsi) session.window.beginBehind(this.#seen.sn);
    this.#sessions.set(tsi, session);
    this.#parts.onEvent({ type: 'session', tsi });
    if (tsi === this.#highest) this.#nameAgain(session);
    return session;
  }

  #nameAgain(session: ReceiveSession): void {
    for (const key of this.#parts.keys) {
      const names = this.#named.filter(({ tsi, info }) => tsi === session.tsi && info.asid === key?.asid);
      if (key === undefined || names.length === 0) continue;
      this.#placement.nameAgain(session, session.channel(key, this.#parts.codec, this.#limits), names);
    }
    // Of a session that was replaced nobody asks any more.
    this.#named = [];
  }

  #replaceLive(tsi: number, now: number): void {
    this.#highest = tsi;
    for (const session of this.#sessions.values()) {
      if (tsiClass(session.tsi) !== 'live') continue;
      if (session.closesAt === Infinity) session.closesAt = now + LINGER_NS;
      // The previous one stays, not all that somebody with a key began within these seconds.
      else this.#close(session);
    }
  }

  #makeRoom(): void {
    const side = [...this.#sessions.values()].filter((session) => tsiClass(session.tsi) !== 'live');
    if (side.length < SIDE_SESSIONS) return;
    const oldest = side.reduce((a, b) => (a.lastSeen <= b.lastSeen ? a : b));
    this.#close(oldest);
  }

  #window(at: number): ReplayWindow {
    return new ReplayWindow(this.#arena.view(at, WINDOW_BYTES).fill(0));
  }

  #close(session: ReceiveSession): void {
    this.#lostInClosed += session.window.missing;
    this.#sessions.delete(session.tsi);
    if (this.#followed?.session === session) this.#unfollow();
    if (session.windowAt > 0) this.#windows.push(session.windowAt);
  }

  #fdt(session: ReceiveSession, channel: ChannelState, datagram: Uint8Array): Verdict {
    const header = readFdtHeader(datagram, 0, datagram.length);
    if (typeof header === 'string') return header;
    session.senderNtp = header.ntpSeconds;
    const fdt = channel.fdts.add(header, datagram.subarray(FDT_HEADER_BYTES));
    if (typeof fdt === 'string') return fdt;
    if (fdt.symbolBytes !== datagram.length - HEADER_BYTES) return 'bad-fti';
    this.#placement.name(session, channel, fdt);
    return 'accepted';
  }
}

/** What an object's TOIs stand for is asked of the spool anew with the next symbol. */
function refuse(channel: ChannelState, key: string): void {
  for (const toi of channel.toisOf(key)) {
    const entry = channel.tois.get(toi);
    if (entry?.type === 'object' || entry?.type === 'complete')
      channel.tois.set(toi, { type: 'refused', info: infoOf(entry) });
  }
}
