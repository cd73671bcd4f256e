import { blockBytes, blockLength, blockOffset, type Partition, partition } from '@sluice/fec';
import type { DatagramCode, Verdict } from '@sluice/ports';
import type { Arena } from '@sluice/wasm';
import type { BlockCache } from './cache.ts';
import { GatheringBlock, RECORD_BYTES } from './gather.ts';
import { PAGE_BYTES, type SegmentMemory } from './segments.ts';
import type { ObjectInfo, ReceiveCounters, ReceiveParts } from './types.ts';

/** Blocks are gathered in segments of about so many bytes: what a disk likes to write in one piece. */
const SEGMENT_BYTES = 2 ** 20;

/** Blocks next to each other in an object and in memory. */
interface Segment {
  readonly index: number;
  /** Its first block and how many it has. */
  readonly first: number;
  readonly blocks: number;
  /** Address of all of it; of the first block's bytes, which agrees with their place in the object modulo a page; of the records. */
  readonly address: number;
  readonly data: number;
  readonly records: number;
  /** Blocks being gathered; blocks that the spool has not written yet. The memory goes when both are 0. */
  gathering: number;
  held: number;
}

/** Segments in which blocks are being gathered, oldest first, over all objects: who is dropped when memory runs out. */
export class GatheringOrder {
  readonly #segments = new Map<Segment, ReceivingObject>();

  add(segment: Segment, object: ReceivingObject): void {
    this.#segments.set(segment, object);
  }

  remove(segment: Segment): void {
    this.#segments.delete(segment);
  }

  /**
   * Drops what is gathered in the segment that was begun first; false when there is none. A segment with blocks that the
   * spool still reads would give no memory back.
   */
  evictOldest(): boolean {
    for (const [segment, object] of this.#segments) {
      if (segment.held > 0) continue;
      object.evict(segment);
      return true;
    }
    return false;
  }
}

export interface ObjectParts extends ReceiveParts {
  readonly arena: Arena;
  readonly memory: SegmentMemory;
  readonly order: GatheringOrder;
  readonly counters: ReceiveCounters;
  readonly cache: BlockCache | undefined;
  /** Computes the source symbols that are missing of a block that has k symbols. */
  readonly recover: (block: GatheringBlock) => void;
}

/** Stops 10 and 11 for one object: symbols into blocks, whole blocks into the spool. A bad block never touches its neighbours. */
export class ReceivingObject {
  readonly info: ObjectInfo;
  readonly partition: Partition;
  /** Blocks whose symbols the kernel places by itself: SBN to entry of the cache. */
  readonly cached = new Map<number, number>();
  readonly #parts: ObjectParts;
  readonly #stored: Uint8Array;
  readonly #surplus: Uint8Array;
  readonly #gathering = new Map<number, GatheringBlock>();
  readonly #segments = new Map<number, Segment>();
  readonly #segmentBlocks: number;
  #left: number;
  #recovered = 0;

  constructor(info: ObjectInfo, stored: Uint8Array, parts: ObjectParts) {
    this.info = info;
    this.#parts = parts;
    this.partition = partition(info.size, info.symbolBytes, info.maxBlock);
    const { blocks, large } = this.partition;
    this.#segmentBlocks = Math.max(1, Math.floor(SEGMENT_BYTES / (large * info.symbolBytes)));
    this.#stored = Uint8Array.from({ length: Math.ceil(blocks / 8) }, (_, i) => stored[i] ?? 0);
    this.#surplus = new Uint8Array(blocks);
    this.#left = blocks;
    for (let sbn = 0; sbn < blocks; sbn += 1) if (this.isStored(sbn)) this.#left -= 1;
  }

  get whole(): boolean {
    return this.#left === 0;
  }

  get storedBlocks(): number {
    return this.partition.blocks - this.#left;
  }

  /** Fewest symbols that came beyond need over the blocks, and source symbols computed: how close it was. */
  get margin(): { readonly worst: number; readonly recovered: number } {
    this.#parts.cache?.settle(this);
    return { worst: this.#surplus.reduce((least, n) => Math.min(least, n), 255), recovered: this.#recovered };
  }

  /** Symbols of a stored block that came beyond need. */
  addSurplus(sbn: number, symbols: number): void {
    this.#surplus[sbn] = Math.min(255, (this.#surplus[sbn] ?? 0) + symbols);
  }

  add(sbn: number, esi: number, symbol: Uint8Array): Verdict {
    if (sbn >= this.partition.blocks) return 'bad-sbn';
    if (this.isStored(sbn)) {
      this.addSurplus(sbn, 1);
      return 'surplus';
    }
    const block = this.#gathering.get(sbn) ?? this.#begin(sbn);
    if (block === undefined) return 'memory-limit';
    if (!block.add(esi, symbol)) return 'surplus';
    return block.have < block.k ? 'accepted' : this.finish(sbn);
  }

  /** The block being gathered under this number. */
  gathering(sbn: number): GatheringBlock | undefined {
    return this.#gathering.get(sbn);
  }

  /** Drops what is gathered in one segment; it may come again. */
  evict(segment: Segment): void {
    for (let sbn = segment.first; sbn < segment.first + segment.blocks; sbn += 1) {
      const block = this.#gathering.get(sbn);
      if (block === undefined) continue;
      this.#parts.counters.evictedSymbols += block.have;
      this.#drop(sbn, segment);
    }
  }

  /** Drops all that is gathered. */
  clear(): void {
    for (const segment of [...this.#segments.values()]) this.evict(segment);
    this.#parts.cache?.dropAll(this);
  }

  /** Blocks not stored, with the number of symbols each still needs. */
  *missing(): Generator<{ readonly sbn: number; readonly needs: number }> {
    for (let sbn = 0; sbn < this.partition.blocks; sbn += 1) {
      if (this.isStored(sbn)) continue;
      yield { sbn, needs: blockLength(this.partition, sbn) - (this.#gathering.get(sbn)?.have ?? 0) };
    }
  }

  isStored(sbn: number): boolean {
    return ((this.#stored[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) !== 0;
  }

  /** Recovers a block that has k symbols and hands it to the spool. */
  finish(sbn: number): 'accepted' | DatagramCode {
    const { cache, counters, recover, spool } = this.#parts;
    const block = this.#gathering.get(sbn);
    const segment = this.#segments.get(Math.floor(sbn / this.#segmentBlocks));
    if (block === undefined || segment === undefined) throw new Error('a block is whole that is not gathered');
    const recovered = block.esis.reduce((sum, esi) => sum + (esi >= block.k ? 1 : 0), 0);
    if (recovered > 0) recover(block);
    const bytes = block.bytes.subarray(0, blockBytes(this.partition, sbn));
    segment.held += 1;
    const release = (): void => {
      segment.held -= 1;
      this.#settle(segment);
    };
    const verdict = spool.block(this.info, sbn, blockOffset(this.partition, sbn), bytes, release);
    if (verdict !== 'stored') {
      segment.held -= 1;
      this.#drop(sbn, segment);
      return verdict;
    }
    this.#gathering.delete(sbn);
    segment.gathering -= 1;
    counters.blocks += 1;
    counters.recoveredSymbols += recovered;
    this.#recovered += recovered;
    this.#stored[sbn >>> 3] = (this.#stored[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    this.#left -= 1;
    cache?.stored(this, sbn);
    this.#settle(segment);
    return 'accepted';
  }

  #begin(sbn: number): GatheringBlock | undefined {
    const { arena, order } = this.#parts;
    const index = Math.floor(sbn / this.#segmentBlocks);
    const segment = this.#segments.get(index) ?? this.#open(index);
    if (segment === undefined) return undefined;
    const { first, data, records } = segment;
    const at = data + blockOffset(this.partition, sbn) - blockOffset(this.partition, first);
    const record = records + (sbn - first) * RECORD_BYTES;
    const block = new GatheringBlock(arena, record, at, blockLength(this.partition, sbn), this.info.symbolBytes);
    this.#gathering.set(sbn, block);
    segment.gathering += 1;
    if (segment.gathering === 1) order.add(segment, this);
    return block;
  }

  #open(index: number): Segment | undefined {
    const { memory, order } = this.#parts;
    const first = index * this.#segmentBlocks;
    const blocks = Math.min(this.#segmentBlocks, this.partition.blocks - first);
    const offset = blockOffset(this.partition, first);
    const last = first + blocks - 1;
    const dataBytes =
      blockOffset(this.partition, last) - offset + blockLength(this.partition, last) * this.info.symbolBytes;
    const shift = offset % PAGE_BYTES;
    const recordsAt = Math.ceil((shift + dataBytes) / 16) * 16;
    const bytes = recordsAt + blocks * RECORD_BYTES;
    // What can never fit costs nobody else anything.
    if (bytes > memory.limit) return undefined;
    let address = memory.take(bytes);
    while (address === undefined && order.evictOldest()) address = memory.take(bytes);
    if (address === undefined) return undefined;
    const segment = {
      ...{ index, first, blocks, address, data: address + shift, records: address + recordsAt },
      ...{ gathering: 0, held: 0 },
    };
    this.#segments.set(index, segment);
    return segment;
  }

  #drop(sbn: number, segment: Segment): void {
    this.#parts.cache?.drop(this, sbn);
    this.#gathering.delete(sbn);
    segment.gathering -= 1;
    this.#settle(segment);
  }

  #settle(segment: Segment): void {
    if (segment.gathering > 0) return;
    this.#parts.order.remove(segment);
    if (segment.held > 0 || this.#segments.get(segment.index) !== segment) return;
    this.#segments.delete(segment.index);
    this.#parts.memory.give(segment.address);
  }
}
