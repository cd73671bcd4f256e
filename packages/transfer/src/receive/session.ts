import type { Authenticator, LinkKey } from '@sluice/ports';
import type { Codec } from '@sluice/fec';
import { FdtAssembler } from './fdt.ts';
import type { ReceivingObject } from './object.ts';
import { type ObjectInfo, type ReceiveLimits, spoolKey } from './types.ts';
import { ReplayWindow } from './window.ts';

/** What a TOI stands for: an object being received, one that is complete already, or a heartbeat. */
export type ToiEntry =
  | { readonly type: 'object'; readonly object: ReceivingObject }
  | { readonly type: 'complete'; readonly info: ObjectInfo }
  | { readonly type: 'refused'; readonly info: ObjectInfo }
  | { readonly type: 'heartbeat'; readonly info: ObjectInfo; done: boolean };

/** The object that a TOI stands for, whatever became of it. */
export const infoOf = (entry: ToiEntry): ObjectInfo => (entry.type === 'object' ? entry.object.info : entry.info);

/** An authenticated symbol whose TOI no FDT Instance has named yet. */
export interface WaitingSymbol {
  readonly sbn: number;
  readonly esi: number;
  readonly symbol: Uint8Array;
}

/** Symbols of unknown TOIs, bounded in bytes; the TOI that waits longest is dropped first. */
export class WaitingSymbols {
  readonly #limit: number;
  readonly #byToi = new Map<number, WaitingSymbol[]>();
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Keeps a copy of the symbol; how many symbols were dropped for it. */
  add(toi: number, sbn: number, esi: number, symbol: Uint8Array): number {
    if (symbol.length > this.#limit) return 1;
    let dropped = 0;
    for (const oldest of this.#byToi.keys()) {
      if (this.#bytes + symbol.length <= this.#limit) break;
      dropped += this.take(oldest).length;
    }
    const list = this.#byToi.get(toi) ?? [];
    list.push({ sbn, esi, symbol: symbol.slice() });
    this.#byToi.set(toi, list);
    this.#bytes += symbol.length;
    return dropped;
  }

  take(toi: number): readonly WaitingSymbol[] {
    const symbols = this.#byToi.get(toi) ?? [];
    this.#byToi.delete(toi);
    for (const { symbol } of symbols) this.#bytes -= symbol.length;
    return symbols;
  }
}

/** FDT Instances whose TOIs are remembered in any case; of those before them, the TOIs of objects that are not whole. */
const NAMING_INSTANCES = 128;
/** Heartbeats have an instance each, once a second, and would push out what a pass on air has named. */
const HEARTBEATS = 16;

/** What one channel (ASID) has in a session. Channels share sequence numbers and nothing else. */
export class ChannelState {
  readonly key: LinkKey;
  readonly fdts: FdtAssembler;
  readonly waiting: WaitingSymbols;
  readonly tois = new Map<number, ToiEntry>();
  /** By spool key: the TOIs of an object, one for each pass that still is remembered. */
  readonly #byKey = new Map<string, Set<number>>();
  /** TOIs by the FDT Instance that named them, oldest first; those of heartbeats. */
  readonly #instances: (readonly number[])[] = [];
  readonly #heartbeats: number[] = [];

  constructor(key: LinkKey, codec: Codec, limits: ReceiveLimits) {
    this.key = key;
    this.fdts = new FdtAssembler(codec, limits.fdtInstances);
    this.waiting = new WaitingSymbols(limits.unknownToiBytes);
  }

  /** Names a TOI; the oldest one is forgotten when there are too many, and what it stood for is given back. */
  name(toi: number, entry: ToiEntry, limit: number): ToiEntry | undefined {
    const oldest = this.tois.size >= limit ? this.tois.entries().next().value : undefined;
    if (oldest !== undefined) this.#unname(oldest[0]);
    this.tois.set(toi, entry);
    if (entry.type === 'heartbeat') return oldest?.[1];
    const key = spoolKey(infoOf(entry));
    const others = this.#byKey.get(key);
    if (others === undefined) this.#byKey.set(key, new Set([toi]));
    else others.add(toi);
    return oldest?.[1];
  }

  /** The TOIs that stand for an object: no other is looked at. */
  toisOf(key: string): Iterable<number> {
    return this.#byKey.get(key) ?? [];
  }

  /**
   * An FDT Instance has named these. The TOIs of one long before it are forgotten, and what they stood for is given back; an
   * object that is not whole may be on air still, in however many instances its group has been named.
   */
  instance(tois: readonly number[]): readonly ToiEntry[] {
    const beats = tois.filter((toi) => this.tois.get(toi)?.type === 'heartbeat');
    this.#heartbeats.push(...beats);
    if (beats.length < tois.length) this.#instances.push(tois);
    const old = this.#heartbeats.splice(0, Math.max(0, this.#heartbeats.length - HEARTBEATS));
    // Two for each that comes: what had to stay goes in the end.
    for (let i = 0; i < 2 && this.#instances.length > NAMING_INSTANCES; i += 1) {
      const { open = [], over = [] } = Object.groupBy(this.#instances.shift() ?? [], (toi) => this.#stage(toi));
      if (open.length > 0) this.#instances.push(open);
      old.push(...over);
    }
    return old.map((toi) => this.#unname(toi)).filter((entry) => entry !== undefined);
  }

  #stage(toi: number): 'open' | 'over' {
    const entry = this.tois.get(toi);
    return entry?.type === 'object' && !entry.object.whole ? 'open' : 'over';
  }

  #unname(toi: number): ToiEntry | undefined {
    const entry = this.tois.get(toi);
    if (entry === undefined) return undefined;
    this.tois.delete(toi);
    if (entry.type === 'heartbeat') return entry;
    const key = spoolKey(infoOf(entry));
    const others = this.#byKey.get(key);
    others?.delete(toi);
    if (others?.size === 0) this.#byKey.delete(key);
    return entry;
  }
}

/** All that belongs to one TSI. Made only once a datagram of it was authentic. */
export class ReceiveSession {
  readonly tsi: number;
  /** Length of every datagram of the session, bytes: that of the first. */
  readonly datagramBytes: number;
  /** Sender time of the last authenticated FDT datagram, NTP seconds. */
  senderNtp: number | undefined;
  /** Time of the last authentic datagram, nanoseconds. */
  lastSeen = 0;
  /** When it closes, nanoseconds, once a newer live session has begun. */
  closesAt = Infinity;
  readonly window: ReplayWindow;
  /** Address of the window in the arena, 0 when it is not there. */
  readonly windowAt: number;
  readonly #channels: (ChannelState | undefined)[] = [];
  readonly #authenticators: (Authenticator | undefined)[] = [];

  constructor(tsi: number, datagramBytes: number, windowAt = 0, window = new ReplayWindow()) {
    this.tsi = tsi;
    this.datagramBytes = datagramBytes;
    this.windowAt = windowAt;
    this.window = window;
  }

  /** The key of one channel in this session, derived once. */
  authenticator(key: LinkKey): Authenticator {
    const known = this.#authenticators[key.asid];
    if (known !== undefined) return known;
    const made = key.session(this.tsi);
    this.#authenticators[key.asid] = made;
    return made;
  }

  get channels(): readonly ChannelState[] {
    return this.#channels.filter((channel) => channel !== undefined);
  }

  channel(key: LinkKey, codec: Codec, limits: ReceiveLimits): ChannelState {
    const known = this.#channels[key.asid];
    if (known !== undefined) return known;
    const made = new ChannelState(key, codec, limits);
    this.#channels[key.asid] = made;
    return made;
  }
}
