import type { Codec } from '@sluice/fec';

/** A source block being put together: k slots; source symbols in their own, repair symbols wherever none is (yet). */
export class GatheringBlock {
  readonly k: number;
  readonly bytes: Uint8Array;
  /** ESI held by each slot, 255 for none. */
  readonly #esis: Uint8Array;
  readonly #seen = new Uint32Array(8);
  #have = 0;
  #free: number;

  /** @param bytes k * symbolBytes bytes, overwritten. */
  constructor(k: number, bytes: Uint8Array) {
    this.k = k;
    this.bytes = bytes;
    this.#esis = new Uint8Array(k).fill(255);
    this.#free = k - 1;
  }

  get have(): number {
    return this.#have;
  }

  /** Takes one symbol. False when this ESI is there already. */
  add(esi: number, symbol: Uint8Array): boolean {
    const word = esi >>> 5;
    const mask = 1 << (esi & 31);
    if (((this.#seen[word] ?? 0) & mask) !== 0) return false;
    this.#seen[word] = (this.#seen[word] ?? 0) | mask;
    if (esi < this.k) this.#makeRoom(esi, symbol.length);
    const slot = esi < this.k ? esi : this.#freeSlot();
    this.#esis[slot] = esi;
    this.bytes.set(symbol, slot * symbol.length);
    this.#have += 1;
    return true;
  }

  /** Computes the missing source symbols once k symbols are there; how many there were. */
  recover(codec: Codec): number {
    const missing = this.#esis.reduce((sum, esi) => sum + (esi >= this.k ? 1 : 0), 0);
    if (missing > 0 && !codec.recover(this.bytes, this.k, this.bytes.length / this.k, this.#esis)) {
      throw new Error('k different symbols did not give the block');
    }
    return missing;
  }

  /** A repair symbol that sits where a source symbol belongs moves away. */
  #makeRoom(slot: number, size: number): void {
    const held = this.#esis[slot] ?? 255;
    if (held === 255) return;
    const to = this.#freeSlot();
    this.#esis[to] = held;
    this.bytes.copyWithin(to * size, slot * size, (slot + 1) * size);
  }

  /** The highest empty slot: source symbols come in order more often than not, so repair starts at the far end. */
  #freeSlot(): number {
    while (this.#free >= 0 && this.#esis[this.#free] !== 255) this.#free -= 1;
    if (this.#free < 0) throw new Error('no free slot in a block that is not whole');
    return this.#free;
  }
}

/** Hands out buffers for blocks and keeps what they take in all below a limit. */
export class BlockMemory {
  readonly #limit: number;
  readonly #spare = new Map<number, Uint8Array[]>();
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** A buffer, or undefined when the limit stands in the way: give one back first. */
  take(bytes: number): Uint8Array | undefined {
    if (this.#used + bytes > this.#limit) return undefined;
    this.#used += bytes;
    return this.#spare.get(bytes)?.pop() ?? new Uint8Array(bytes);
  }

  give(buffer: Uint8Array): void {
    this.#used -= buffer.length;
    const spare = this.#spare.get(buffer.length) ?? [];
    if (spare.length < 64) spare.push(buffer);
    this.#spare.set(buffer.length, spare);
  }
}
