import { blockBytes, blockLength, blockOffset, type Partition, partition } from '@sluice/fec';
import type { DatagramCode, Verdict } from '@sluice/ports';
import { type BlockMemory, GatheringBlock } from './gather.ts';
import type { ObjectInfo, ReceiveCounters, ReceiveParts } from './types.ts';

/** Blocks being gathered, oldest first, over all objects: who is dropped when memory runs out. */
export class GatheringOrder {
  readonly #blocks = new Map<GatheringBlock, { readonly object: ReceivingObject; readonly sbn: number }>();

  add(block: GatheringBlock, object: ReceivingObject, sbn: number): void {
    this.#blocks.set(block, { object, sbn });
  }

  remove(block: GatheringBlock): void {
    this.#blocks.delete(block);
  }

  /** The block that was begun first. */
  oldest(): { readonly block: GatheringBlock; readonly object: ReceivingObject; readonly sbn: number } | undefined {
    for (const [block, place] of this.#blocks) return { block, ...place };
    return undefined;
  }
}

export interface ObjectParts extends ReceiveParts {
  readonly memory: BlockMemory;
  readonly order: GatheringOrder;
  readonly counters: ReceiveCounters;
}

/** Stops 10 and 11 for one object: symbols into blocks, whole blocks into the spool. A bad block never touches its neighbours. */
export class ReceivingObject {
  readonly info: ObjectInfo;
  readonly partition: Partition;
  readonly #parts: ObjectParts;
  readonly #stored: Uint8Array;
  readonly #surplus: Uint8Array;
  readonly #gathering = new Map<number, GatheringBlock>();
  #left: number;
  #recovered = 0;

  constructor(info: ObjectInfo, stored: Uint8Array, parts: ObjectParts) {
    this.info = info;
    this.#parts = parts;
    this.partition = partition(info.size, info.symbolBytes, info.maxBlock);
    const { blocks } = this.partition;
    this.#stored = Uint8Array.from({ length: Math.ceil(blocks / 8) }, (_, i) => stored[i] ?? 0);
    this.#surplus = new Uint8Array(blocks);
    this.#left = blocks;
    for (let sbn = 0; sbn < blocks; sbn += 1) if (this.#isStored(sbn)) this.#left -= 1;
  }

  get whole(): boolean {
    return this.#left === 0;
  }

  get storedBlocks(): number {
    return this.partition.blocks - this.#left;
  }

  /** Fewest symbols that came beyond need over the blocks, and source symbols computed: how close it was. */
  get margin(): { readonly worst: number; readonly recovered: number } {
    return { worst: this.#surplus.reduce((least, n) => Math.min(least, n), 255), recovered: this.#recovered };
  }

  add(sbn: number, esi: number, symbol: Uint8Array): Verdict {
    if (sbn >= this.partition.blocks) return 'bad-sbn';
    if (this.#isStored(sbn)) {
      this.#surplus[sbn] = Math.min(255, (this.#surplus[sbn] ?? 0) + 1);
      return 'surplus';
    }
    const block = this.#gathering.get(sbn) ?? this.#begin(sbn);
    if (block === undefined) return 'memory-limit';
    if (!block.add(esi, symbol)) return 'surplus';
    return block.have < block.k ? 'accepted' : this.#finish(sbn, block);
  }

  /** Drops what is gathered of one block; it may come again. */
  evict(sbn: number): void {
    const block = this.#gathering.get(sbn);
    if (block === undefined) return;
    this.#parts.counters.evictedSymbols += block.have;
    this.#drop(sbn, block);
  }

  /** Drops all that is gathered. */
  clear(): void {
    for (const sbn of [...this.#gathering.keys()]) this.evict(sbn);
  }

  /** Blocks not stored, with the number of symbols each still needs. */
  *missing(): Generator<{ readonly sbn: number; readonly needs: number }> {
    for (let sbn = 0; sbn < this.partition.blocks; sbn += 1) {
      if (this.#isStored(sbn)) continue;
      yield { sbn, needs: blockLength(this.partition, sbn) - (this.#gathering.get(sbn)?.have ?? 0) };
    }
  }

  #isStored(sbn: number): boolean {
    return ((this.#stored[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) !== 0;
  }

  #begin(sbn: number): GatheringBlock | undefined {
    const { memory, order } = this.#parts;
    const k = blockLength(this.partition, sbn);
    const bytes = k * this.info.symbolBytes;
    let buffer = memory.take(bytes);
    while (buffer === undefined) {
      const oldest = order.oldest();
      if (oldest === undefined) return undefined;
      oldest.object.evict(oldest.sbn);
      buffer = memory.take(bytes);
    }
    const block = new GatheringBlock(k, buffer);
    this.#gathering.set(sbn, block);
    order.add(block, this, sbn);
    return block;
  }

  #finish(sbn: number, block: GatheringBlock): 'accepted' | DatagramCode {
    const { codec, counters, spool } = this.#parts;
    const recovered = block.recover(codec);
    const bytes = block.bytes.subarray(0, blockBytes(this.partition, sbn));
    const verdict = spool.block(this.info, sbn, blockOffset(this.partition, sbn), bytes);
    this.#drop(sbn, block);
    if (verdict !== 'stored') return verdict;
    counters.blocks += 1;
    counters.recoveredSymbols += recovered;
    this.#recovered += recovered;
    this.#stored[sbn >>> 3] = (this.#stored[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    this.#left -= 1;
    return 'accepted';
  }

  #drop(sbn: number, block: GatheringBlock): void {
    this.#gathering.delete(sbn);
    this.#parts.order.remove(block);
    this.#parts.memory.give(block.bytes);
  }
}
