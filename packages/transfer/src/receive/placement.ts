import { BLOCKS_MAX, type Fdt, type FdtFile } from '@sluice/alc';
import { ArenaCodec, partition } from '@sluice/fec';
import type { DatagramCode, LinkKey, Verdict } from '@sluice/ports';
import type { Arena } from '@sluice/wasm';
import type { BlockCache } from './cache.ts';
import { type GatheringBlock, recoverByCopy } from './gather.ts';
import type { HandoverItem } from './handover.ts';
import { GatheringOrder, ReceivingObject } from './object.ts';
import { SegmentMemory } from './segments.ts';
import type { ChannelState, ReceiveSession, ToiEntry } from './session.ts';
import { type ObjectInfo, type ReceiveCounters, type ReceiveLimits, type ReceiveParts, spoolKey } from './types.ts';

/** Symbols of a block that are computed, at most. */
const SPARE_BYTES = 255 * 8896;
const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';

/** What TOIs stand for, and the objects being received: stops 10 and 11 for symbols whose tag held. */
export class Placement {
  readonly memory: SegmentMemory;
  readonly #arena: Arena;
  readonly #parts: ReceiveParts;
  readonly #limits: ReceiveLimits;
  readonly #counters: ReceiveCounters;
  readonly #cache: BlockCache | undefined;
  readonly #order = new GatheringOrder();
  readonly #recover: (block: GatheringBlock) => void;
  /** By channel and spool key: symbols of any session and pass fill the same holes. */
  readonly #objects = new Map<string, ReceivingObject>();
  /** By channel: source blocks of its objects. Each costs a byte and more from the moment that an FDT Instance declares it. */
  readonly #blocks = new Map<string, number>();

  /** @param cache what the kernel looks up by itself; without one blocks are recovered by the codec of `parts` */
  constructor(
    arena: Arena,
    parts: ReceiveParts,
    limits: ReceiveLimits,
    counters: ReceiveCounters,
    cache: BlockCache | undefined,
  ) {
    this.#arena = arena;
    this.#parts = parts;
    this.#limits = limits;
    this.#counters = counters;
    this.#cache = cache;
    this.memory = new SegmentMemory(arena, limits.blockBytes);
    this.#recover = cache === undefined ? (block) => recoverByCopy(parts.codec, block) : recoverInPlace(arena);
  }

  objects(): Iterable<ReceivingObject> {
    return this.#objects.values();
  }

  /** Drops an object, whole or not; gives it back. */
  take(channel: string, key: string): ReceivingObject | undefined {
    const object = this.#objects.get(`${channel}/${key}`);
    if (object === undefined) return undefined;
    if (object.whole) this.#parts.onEvent({ type: 'margin', info: object.info, ...object.margin });
    object.clear();
    this.#objects.delete(`${channel}/${key}`);
    this.#blocks.set(channel, (this.#blocks.get(channel) ?? 0) - object.partition.blocks);
    return object;
  }

  /** A block has k symbols. */
  finish(object: ReceivingObject, sbn: number): Verdict {
    return this.#noticed(object, () => object.finish(sbn));
  }

  /** Gives the TOIs of an FDT Instance their meaning and feeds them the symbols that waited. */
  name(session: ReceiveSession, channel: ChannelState, fdt: Fdt): void {
    const news: FdtFile[] = [];
    for (const file of fdt.files) {
      if (channel.tois.has(file.toi)) continue;
      news.push(file);
      this.#name(session, channel, fdt, file);
    }
    this.#named(channel, news);
  }

  /** Gives the TOIs the meaning that they had in an earlier run. */
  nameAgain(session: ReceiveSession, channel: ChannelState, names: readonly { toi: number; info: ObjectInfo }[]): void {
    for (const { toi, info } of names) this.#meaning(session, channel, toi, info);
    this.#named(channel, names);
  }

  #name(session: ReceiveSession, channel: ChannelState, fdt: Fdt, file: FdtFile): void {
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
    this.#meaning(session, channel, file.toi, info);
    for (const { sbn, esi, symbol } of channel.waiting.take(file.toi)) {
      this.use(session, channel, file.toi, sbn, esi, symbol);
    }
  }

  /** From now on a TOI stands for this object. */
  #meaning(session: ReceiveSession, channel: ChannelState, toi: number, info: ObjectInfo): void {
    this.#parts.onNamed?.(session.tsi, toi, info);
    const entry =
      info.contentType === HEARTBEAT_TYPE ? ({ type: 'heartbeat', info, done: false } as const) : this.#entry(info);
    this.#forgot(channel.name(toi, entry, this.#limits.tois));
  }

  /** TOIs were named together, and those of long ago are forgotten. */
  #named(channel: ChannelState, names: readonly { readonly toi: number }[]): void {
    for (const entry of channel.instance(names.map(({ toi }) => toi))) this.#forgot(entry);
  }

  #forgot(entry: ToiEntry | undefined): void {
    if (entry?.type === 'object') this.#cache?.dropAll(entry.object);
  }

  /** Symbols that an earlier run held of a block. Bytes of those that are held again. */
  restore({ info, sbn, esis, symbols }: HandoverItem & { readonly type: 'block' }): number {
    const opened = this.#open(info);
    if (typeof opened === 'string' || opened.type !== 'object') return 0;
    let bytes = 0;
    for (const [i, esi] of esis.entries()) {
      const symbol = symbols.subarray(i * info.symbolBytes, (i + 1) * info.symbolBytes);
      if (this.#gather(opened.object, sbn, esi, symbol) === 'accepted') bytes += symbol.length;
    }
    return bytes;
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
    const followed =
      (this.#blocks.get(info.channel) ?? 0) + partition(info.size, info.symbolBytes, info.maxBlock).blocks;
    if (followed > BLOCKS_MAX) return 'object-limit';
    const opened = this.#parts.spool.open(info);
    if (opened === 'complete') return { type: 'complete', info };
    if (typeof opened === 'string') return opened;
    const object = new ReceivingObject(info, opened.stored, {
      ...this.#parts,
      arena: this.#arena,
      memory: this.memory,
      order: this.#order,
      counters: this.#counters,
      cache: this.#cache,
      recover: this.#recover,
    });
    this.#objects.set(name, object);
    this.#blocks.set(info.channel, followed);
    const { blocks } = object.partition;
    this.#parts.onEvent({ type: 'object', info, blocks, stored: object.storedBlocks });
    if (object.whole) this.#parts.onEvent({ type: 'object-whole', info, blocks });
    return { type: 'object', object };
  }

  /** What an authentic symbol is to the object that its TOI stands for. */
  use(
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
      this.#counters.unknownToiDropped += dropped;
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
