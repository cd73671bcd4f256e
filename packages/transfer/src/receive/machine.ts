import {
  classify,
  type Fdt,
  FDT_HEADER_BYTES,
  type FdtFile,
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
import { ArenaCodec } from '@sluice/fec';
import type { Authenticator, DatagramCode, LinkKey, Verdict } from '@sluice/ports';
import { Arena } from '@sluice/wasm';
import { type GatheringBlock, recoverByCopy } from './gather.ts';
import { HOST, PLACE, ReceiveKernel } from './kernel.ts';
import { GatheringOrder, ReceivingObject } from './object.ts';
import { SegmentMemory } from './segments.ts';
import { type ChannelState, ReceiveSession, type ToiEntry } from './session.ts';
import { type ObjectInfo, type ReceiveCounters, type ReceiveLimits, type ReceiveParts } from './types.ts';
import { receiveArenaBytes, spoolKey } from './types.ts';
import { ReplayWindow, WINDOW_BYTES } from './window.ts';

/** The previous live session stays open that long (PROTOCOL.md S-3). */
const LINGER_NS = 5e9;
/** Media and repair sessions open at once (PROTOCOL.md S-4). */
const SIDE_SESSIONS = 4;
/** Session keys kept for sessions that are not open. */
const STRANGERS = 16;
/** Sessions open at once: the live one, the one it replaced, and those of S-4. One more while they change. */
const SESSIONS = SIDE_SESSIONS + 3;
/** Symbols of a block that are computed, at most. */
const SPARE_BYTES = 255 * 8896;
const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';

/** A session and key whose datagrams the kernel judges. */
interface Followed {
  readonly session: ReceiveSession;
  readonly key: LinkKey;
}

/** A batch with a verdict for each datagram, in order. Valid during the call only. */
export interface JudgedBatch {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly count: number;
  readonly verdicts: readonly Verdict[];
}

/**
 * The receiving half, without I/O: stops 9 (admit), 10 (gather) and 11 (recover). Datagrams go in one at a time,
 * verdicts come out; whole blocks go to the spool port, the rest is told through events.
 * Times are nanoseconds of one monotonic clock.
 */
export class ReceiveMachine {
  readonly counters: ReceiveCounters = {
    verdicts: new Map(),
    blocks: 0,
    recoveredSymbols: 0,
    evictedSymbols: 0,
    unknownToiDropped: 0,
  };
  readonly #parts: ReceiveParts;
  readonly #limits: ReceiveLimits;
  readonly #arena: Arena;
  readonly #memory: SegmentMemory;
  readonly #kernel: ReceiveKernel | undefined;
  readonly #recover: (block: GatheringBlock) => void;
  /** Addresses of replay windows that are nobody's. */
  readonly #windows: number[];
  readonly #order = new GatheringOrder();
  readonly #sessions = new Map<number, ReceiveSession>();
  /** By channel and spool key: symbols of any session and pass fill the same holes. */
  readonly #objects = new Map<string, ReceivingObject>();
  /** Keys derived for sessions that are not open, by TSI and ASID: a few, oldest out. */
  readonly #strangers = new Map<number, Authenticator>();
  #highest: number;
  #lostInClosed = 0;
  #followed: Followed | undefined;
  /** Whose authentic datagram came last that the kernel did not judge. */
  #latest: Followed | undefined;
  /** Verdicts of the present batch that the kernel did not give. */
  #ours: Verdict[] = [];

  /** @param highestLive the highest live TSI ever accepted, 0 for none (PROTOCOL.md S-3). */
  constructor(parts: ReceiveParts, limits: ReceiveLimits, highestLive: number) {
    this.#parts = parts;
    this.#limits = limits;
    const arena = parts.arena ?? Arena.create(receiveArenaBytes(limits), true);
    this.#arena = arena;
    this.#memory = new SegmentMemory(arena, limits.blockBytes);
    this.#kernel = parts.arena === undefined ? undefined : ReceiveKernel.open(arena);
    this.#windows = Array.from({ length: SESSIONS }, () => arena.take(WINDOW_BYTES));
    this.#recover = this.#kernel === undefined ? (block) => recoverByCopy(parts.codec, block) : recoverInPlace(arena);
    this.#highest = highestLive;
  }

  /** Where batches are described before `receiveRuns`, if the kernel is there: three words a run, as `kernel.ts` says. */
  get runs(): Uint32Array | undefined {
    return this.#kernel?.runs;
  }

  /** The highest live TSI accepted. */
  get highestLive(): number {
    return this.#highest;
  }

  /** Bytes held for blocks not yet whole. */
  get blockBytes(): number {
    return this.#memory.used;
  }

  /** Datagrams that the sequence numbers say were sent and that did not come. */
  get lost(): number {
    let lost = this.#lostInClosed;
    for (const session of this.#sessions.values()) lost += session.window.missing;
    return lost;
  }

  /** Objects followed, whole or not. */
  objects(): Iterable<ReceivingObject> {
    return this.#objects.values();
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
    const datagrams = kernel.split(count);
    const followed = this.#followed;
    this.#latest = undefined;
    let candidates = 0;
    if (followed === undefined) kernel.codes.fill(HOST, 0, datagrams);
    else candidates = kernel.admit(datagrams, followed.session.authenticator(followed.key));
    if (followed !== undefined && candidates > 0) followed.session.lastSeen = now;
    for (let i = kernel.place(0, datagrams); i < datagrams; i = kernel.place(i + 1, datagrams)) {
      const verdict = this.#judge(kernel, i, now);
      if (tap !== undefined) this.#ours[i] = verdict;
    }
    kernel.drain(this.counters.verdicts);
    if (tap !== undefined) this.#show(kernel, datagrams, tap);
    if (candidates === 0 && this.#latest !== undefined) this.#follow(kernel, this.#latest);
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
      verdict = this.#use(session, channel, toi, sbn, readEsi(bytes, offset), symbol);
      const entry = channel.tois.get(toi);
      if (entry?.type === 'object') kernel.cache.install(toi, sbn, entry.object);
    } else {
      const object = kernel.cache.owner(toi, sbn);
      if (object === undefined) throw new Error("the kernel made a block whole that is nobody's");
      verdict = this.#noticed(object, () => object.finish(sbn));
    }
    this.#count(verdict);
    return verdict;
  }

  #show(kernel: ReceiveKernel, count: number, tap: (batch: JudgedBatch) => void): void {
    const verdicts = Array.from({ length: count }, (_, i) => this.#ours[i] ?? kernel.verdict(i));
    this.#ours = [];
    tap({ bytes: this.#arena.bytes, offsets: kernel.offsets, lengths: kernel.lengths, count, verdicts });
  }

  #follow(kernel: ReceiveKernel, { session, key }: Followed): void {
    if (session.windowAt === 0 || this.#sessions.get(session.tsi) !== session) return;
    this.#followed = { session, key };
    kernel.follow(session.tsi, key.asid, session.datagramBytes, session.windowAt);
  }

  #count(verdict: Verdict): void {
    this.counters.verdicts.set(verdict, (this.counters.verdicts.get(verdict) ?? 0) + 1);
  }

  /** Lets time pass: closes the session that a newer one has replaced. */
  tick(now: number): void {
    for (const session of this.#sessions.values()) if (session.closesAt <= now) this.#close(session);
  }

  /** Drops an object, whole or not: what comes of it later is asked of the spool anew. */
  forget(channel: string, key: string): void {
    const object = this.#objects.get(`${channel}/${key}`);
    if (object === undefined) return;
    if (object.whole) this.#parts.onEvent({ type: 'margin', info: object.info, ...object.margin });
    object.clear();
    this.#objects.delete(`${channel}/${key}`);
    for (const entry of this.#entries()) {
      if (entry.entry.type === 'object' && entry.entry.object === object) {
        entry.channel.tois.set(entry.toi, { type: 'refused', info: object.info });
      }
    }
  }

  *#entries(): Generator<{ readonly channel: ChannelState; readonly toi: number; readonly entry: ToiEntry }> {
    for (const session of this.#sessions.values()) {
      for (const channel of session.channels) for (const [toi, entry] of channel.tois) yield { channel, toi, entry };
    }
  }

  #admit(bytes: Uint8Array, offset: number, length: number, now: number): Verdict {
    const kind = classify(bytes, offset, length);
    if (kind !== 'object' && kind !== 'fdt') return kind;
    const key = this.#parts.keys[readAsid(bytes, offset)];
    if (key === undefined) return 'unknown-asid';
    const tsi = readTsi(bytes, offset);
    const sn = readSn(bytes, offset);
    const open = this.#sessions.get(tsi);
    if (open?.window.has(sn) === true) return 'replayed';
    const datagram = bytes.subarray(offset, offset + length);
    const authenticator = open?.authenticator(key) ?? this.#stranger(tsi, key);
    if (!authenticator.verify(datagram, TAG_OFFSET)) return 'bad-tag';
    const session = open ?? this.#welcome(tsi, length, now);
    if (typeof session === 'string') return session;
    session.window.add(sn);
    session.lastSeen = now;
    // A datagram of another length has used up its number: sent again, it is no news.
    if (session.datagramBytes !== length) return 'bad-length';
    this.#latest = { session, key };
    const channel = session.channel(key, this.#parts.codec, this.#limits);
    return kind === 'fdt' ? this.#fdt(session, channel, datagram) : this.#symbol(channel, session, datagram);
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
    this.#sessions.set(tsi, session);
    this.#parts.onEvent({ type: 'session', tsi });
    return session;
  }

  #replaceLive(tsi: number, now: number): void {
    this.#highest = tsi;
    for (const session of this.#sessions.values()) {
      if (tsiClass(session.tsi) === 'live' && session.closesAt === Infinity) session.closesAt = now + LINGER_NS;
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
    if (this.#followed?.session === session) {
      this.#followed = undefined;
      this.#kernel?.follow(0, 0, 0, 0);
    }
    if (session.windowAt > 0) this.#windows.push(session.windowAt);
  }

  #fdt(session: ReceiveSession, channel: ChannelState, datagram: Uint8Array): Verdict {
    const header = readFdtHeader(datagram, 0, datagram.length);
    if (typeof header === 'string') return header;
    session.senderNtp = header.ntpSeconds;
    const fdt = channel.fdts.add(header, datagram.subarray(FDT_HEADER_BYTES));
    if (typeof fdt === 'string') return fdt;
    if (fdt.symbolBytes !== datagram.length - HEADER_BYTES) return 'bad-fti';
    for (const file of fdt.files) this.#name(session, channel, fdt, file);
    return 'accepted';
  }

  /** Gives a TOI its meaning and feeds it the symbols that waited. */
  #name(session: ReceiveSession, channel: ChannelState, fdt: Fdt, file: FdtFile): void {
    if (channel.tois.has(file.toi)) return;
    const { asid, channel: name } = channel.key;
    const { digest, length: size, contentType } = file;
    const info = {
      digest,
      size,
      contentType,
      symbolBytes: fdt.symbolBytes,
      maxBlock: fdt.maxBlock,
      asid,
      channel: name,
    };
    const entry =
      contentType === HEARTBEAT_TYPE ? ({ type: 'heartbeat', info, done: false } as const) : this.#entry(info);
    const forgotten = channel.name(file.toi, entry, this.#limits.tois);
    if (forgotten?.type === 'object') this.#kernel?.cache.dropAll(forgotten.object);
    for (const { sbn, esi, symbol } of channel.waiting.take(file.toi)) {
      this.#use(session, channel, file.toi, sbn, esi, symbol);
    }
  }

  #entry(info: ObjectInfo): ToiEntry {
    const opened = this.#open(info);
    return typeof opened === 'string' ? { type: 'refused', info } : opened;
  }

  /** What a TOI of this object stands for, or why the object is refused. */
  #open(info: ObjectInfo): ToiEntry | DatagramCode {
    const name = `${info.channel}/${spoolKey(info)}`;
    const known = this.#objects.get(name);
    if (known !== undefined) return { type: 'object', object: known };
    if (info.size > this.#limits.objectBytes) return 'object-too-large';
    if (this.#objects.size >= this.#limits.objects) return 'object-limit';
    const opened = this.#parts.spool.open(info);
    if (opened === 'complete') return { type: 'complete' };
    if (typeof opened === 'string') return opened;
    const object = new ReceivingObject(info, opened.stored, {
      ...this.#parts,
      arena: this.#arena,
      memory: this.#memory,
      order: this.#order,
      counters: this.counters,
      cache: this.#kernel?.cache,
      recover: this.#recover,
    });
    this.#objects.set(name, object);
    const { blocks } = object.partition;
    this.#parts.onEvent({ type: 'object', info, blocks, stored: object.storedBlocks });
    if (object.whole) this.#parts.onEvent({ type: 'object-whole', info, blocks });
    return { type: 'object', object };
  }

  #symbol(channel: ChannelState, session: ReceiveSession, datagram: Uint8Array): Verdict {
    const toi = readToi(datagram, 0);
    const symbol = datagram.subarray(HEADER_BYTES);
    return this.#use(session, channel, toi, readSbn(datagram, 0), readEsi(datagram, 0), symbol);
  }

  #use(
    session: ReceiveSession,
    channel: ChannelState,
    toi: number,
    sbn: number,
    esi: number,
    symbol: Uint8Array,
  ): Verdict {
    const entry = channel.tois.get(toi);
    if (entry === undefined) {
      const dropped = channel.waiting.add(toi, sbn, esi, symbol);
      this.counters.unknownToiDropped += dropped;
      return dropped === 0 ? 'accepted' : 'unknown-toi-overflow';
    }
    switch (entry.type) {
      case 'complete':
        return 'surplus';
      case 'heartbeat':
        return sbn > 0 ? 'bad-sbn' : this.#heartbeat(session, channel.key, entry, symbol);
      case 'refused':
        return this.#again(channel, toi, entry.info, sbn, esi, symbol);
      case 'object':
        return this.#gather(entry.object, sbn, esi, symbol);
    }
  }

  /** A refused object is asked of the spool again: room, or leave to come in, may be there now. */
  #again(channel: ChannelState, toi: number, info: ObjectInfo, sbn: number, esi: number, symbol: Uint8Array): Verdict {
    const entry = this.#open(info);
    if (typeof entry === 'string') return entry;
    channel.tois.set(toi, entry);
    return entry.type === 'object' ? this.#gather(entry.object, sbn, esi, symbol) : 'surplus';
  }

  #gather(object: ReceivingObject, sbn: number, esi: number, symbol: Uint8Array): Verdict {
    return this.#noticed(object, () => object.add(sbn, esi, symbol));
  }

  /** Tells when what is done makes the object whole. */
  #noticed(object: ReceivingObject, step: () => Verdict): Verdict {
    const before = object.whole;
    const verdict = step();
    if (object.whole && !before) {
      this.#parts.onEvent({ type: 'object-whole', info: object.info, blocks: object.partition.blocks });
    }
    return verdict;
  }

  #heartbeat(
    session: ReceiveSession,
    key: LinkKey,
    entry: ToiEntry & { type: 'heartbeat' },
    symbol: Uint8Array,
  ): Verdict {
    // A one-symbol block: every repair symbol of k = 1 equals the source symbol, so any ESI will do.
    if (entry.done || entry.info.size > symbol.length) return 'surplus';
    const body = symbol.slice(0, entry.info.size);
    const hex = [...this.#parts.sha256(body)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    if (`sha256:${hex}` !== entry.info.digest) return 'surplus';
    entry.done = true;
    const { tsi, senderNtp } = session;
    this.#parts.onEvent({ type: 'heartbeat', asid: key.asid, channel: key.channel, tsi, senderNtp, body });
    return 'accepted';
  }
}

/** Recovery where blocks lie, for an arena that the kernels know. */
function recoverInPlace(arena: Arena): (block: GatheringBlock) => void {
  const codec = new ArenaCodec(arena);
  const spare = arena.take(SPARE_BYTES);
  return ({ data, k, symbolBytes, esis }) => {
    if (!codec.recoverAt(data, k, symbolBytes, symbolBytes, esis, spare))
      throw new Error('k different symbols did not give the block');
  };
}
