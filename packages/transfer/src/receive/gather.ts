import type { Codec } from '@sluice/fec';

// Layout of a block's record in the arena, in bytes; kernel/kernel.ts reads and writes the same.
const DATA = 0;
const SYMBOLS = 4;
const HAVE = 8;
const FREE = 12;
const SEEN = 16;
const ESIS = 48;
const NONE = 255;
/** Bytes of a record. */
export const RECORD_BYTES = 320;

/** Memory that records and symbols lie in: an arena, or a buffer of the block's own. */
export interface BlockMemory {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

/** A block with memory of its own. */
export function ownBlock(k: number, symbolBytes: number): GatheringBlock {
  const buffer = new ArrayBuffer(RECORD_BYTES + Math.ceil((k * symbolBytes) / 4) * 4);
  return new GatheringBlock(
    { bytes: new Uint8Array(buffer), words: new Uint32Array(buffer) },
    0,
    RECORD_BYTES,
    k,
    symbolBytes,
  );
}

/** Computes what is missing of a block that has k symbols, by a codec that copies. */
export function recoverByCopy(codec: Codec, { bytes, esis, k, symbolBytes }: GatheringBlock): void {
  if (!codec.recover(bytes, k, symbolBytes, esis)) throw new Error('k different symbols did not give the block');
}

/** A source block being put together: k slots; source symbols in their own, repair symbols wherever none is (yet). */
export class GatheringBlock {
  readonly k: number;
  readonly symbolBytes: number;
  /** Address of the record, and of the k slots. */
  readonly record: number;
  readonly data: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;

  /** @param record where RECORD_BYTES, and @param data where k * symbolBytes bytes of the memory are ours, to be overwritten */
  constructor(memory: BlockMemory, record: number, data: number, k: number, symbolBytes: number) {
    this.k = k;
    this.symbolBytes = symbolBytes;
    this.record = record;
    this.data = data;
    this.#bytes = memory.bytes;
    this.#words = memory.words;
    this.#bytes.fill(0, record, record + ESIS);
    this.#bytes.fill(NONE, record + ESIS, record + RECORD_BYTES);
    this.#words[(record + DATA) >>> 2] = data;
    this.#words[(record + SYMBOLS) >>> 2] = k;
    this.#words[(record + FREE) >>> 2] = k - 1;
  }

  /** Symbols that are there. */
  get have(): number {
    return this.#words[(this.record + HAVE) >>> 2] ?? 0;
  }

  /** The k slots, all of the block once it is whole. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(this.data, this.data + this.k * this.symbolBytes);
  }

  /** ESI held by each slot, 255 for none. */
  get esis(): Uint8Array {
    return this.#bytes.subarray(this.record + ESIS, this.record + ESIS + this.k);
  }

  /** Takes one symbol. False when this ESI is there already. */
  add(esi: number, symbol: Uint8Array): boolean {
    const word = (this.record + SEEN + (esi >>> 5) * 4) >>> 2;
    const mask = 1 << (esi & 31);
    if (((this.#words[word] ?? 0) & mask) !== 0) return false;
    this.#words[word] = (this.#words[word] ?? 0) | mask;
    if (esi < this.k) this.#makeRoom(esi);
    const slot = esi < this.k ? esi : this.#freeSlot();
    this.esis[slot] = esi;
    this.#bytes.set(symbol, this.data + slot * this.symbolBytes);
    this.#words[(this.record + HAVE) >>> 2] = this.have + 1;
    return true;
  }

  /** A repair symbol that sits where a source symbol belongs moves away. */
  #makeRoom(slot: number): void {
    const held = this.esis[slot] ?? NONE;
    if (held === NONE) return;
    const to = this.#freeSlot();
    this.esis[to] = held;
    const from = this.data + slot * this.symbolBytes;
    this.#bytes.copyWithin(this.data + to * this.symbolBytes, from, from + this.symbolBytes);
  }

  /** The highest empty slot: source symbols come in order more often than not, so repair starts at the far end. */
  #freeSlot(): number {
    const word = (this.record + FREE) >>> 2;
    let free = this.#words[word] ?? 0;
    while (free > 0 && this.esis[free] !== NONE) free -= 1;
    if (this.esis[free] !== NONE) throw new Error('no free slot in a block that is not whole');
    this.#words[word] = free;
    return free;
  }
}
