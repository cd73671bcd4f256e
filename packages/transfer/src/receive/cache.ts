import type { Arena } from '@sluice/wasm';
import type { ReceivingObject } from './object.ts';

/** Entries; a power of two. A group of 64 MiB has 744 blocks of 64 symbols. */
export const CACHE_ENTRIES = 8192;
/** TOI, SBN, record (0 none, 1 stored), symbols beyond need: 32 bits each. */
export const CACHE_BYTES = CACHE_ENTRIES * 16;
const WORDS = 4;
const RECORD = 2;
const SURPLUS = 3;
const STORED = 1;

/**
 * Which block of which object the symbols of (TOI, SBN) belong to, for one session and key: what the kernel looks up by
 * itself. The objects are the truth; an entry may go at any time, and the next symbol of its block brings it back.
 */
export class BlockCache {
  readonly address: number;
  readonly #words: Uint32Array;
  readonly #owners: (ReceivingObject | undefined)[] = new Array<ReceivingObject | undefined>(CACHE_ENTRIES);

  /** Entries that belong to an object. */
  #held = 0;

  constructor(arena: Arena) {
    this.address = arena.take(CACHE_BYTES);
    this.#words = new Uint32Array(arena.bytes.buffer, this.address, CACHE_ENTRIES * WORDS);
  }

  /** The object to which (TOI, SBN) belongs, if it is here. */
  owner(toi: number, sbn: number): ReceivingObject | undefined {
    const entry = entryOf(toi, sbn);
    const word = entry * WORDS;
    return this.#words[word] === toi && this.#words[word + 1] === sbn ? this.#owners[entry] : undefined;
  }

  /** From now on the kernel places the symbols of (TOI, SBN). */
  install(toi: number, sbn: number, object: ReceivingObject): void {
    const record = object.isStored(sbn) ? STORED : object.gathering(sbn)?.record;
    if (record === undefined) return;
    const entry = entryOf(toi, sbn);
    this.#evict(entry);
    // One entry for a block, under whatever TOI it comes now.
    this.drop(object, sbn);
    this.#words.set([toi, sbn, record, 0], entry * WORDS);
    this.#owners[entry] = object;
    this.#held += 1;
    object.cached.set(sbn, entry);
  }

  /** The block has been stored: what comes of it is surplus. */
  stored(object: ReceivingObject, sbn: number): void {
    const entry = object.cached.get(sbn);
    if (entry !== undefined) this.#words[entry * WORDS + RECORD] = STORED;
  }

  drop(object: ReceivingObject, sbn: number): void {
    const entry = object.cached.get(sbn);
    if (entry !== undefined) this.#evict(entry);
  }

  dropAll(object: ReceivingObject): void {
    for (const entry of [...object.cached.values()]) this.#evict(entry);
  }

  /** Tells the object what the kernel has counted. */
  settle(object: ReceivingObject): void {
    for (const entry of object.cached.values()) this.#count(entry);
  }

  clear(): void {
    for (let entry = 0; entry < CACHE_ENTRIES && this.#held > 0; entry += 1) this.#evict(entry);
  }

  #count(entry: number): void {
    const word = entry * WORDS;
    const surplus = this.#words[word + SURPLUS] ?? 0;
    if (surplus > 0) this.#owners[entry]?.addSurplus(this.#words[word + 1] ?? 0, surplus);
    this.#words[word + SURPLUS] = 0;
  }

  #evict(entry: number): void {
    const owner = this.#owners[entry];
    if (owner === undefined) return;
    this.#count(entry);
    owner.cached.delete(this.#words[entry * WORDS + 1] ?? 0);
    this.#owners[entry] = undefined;
    this.#held -= 1;
    this.#words.fill(0, entry * WORDS, (entry + 1) * WORDS);
  }
}

/** As `hash` in kernel/kernel.ts. */
const entryOf = (toi: number, sbn: number): number => (Math.imul(toi, 0x9e3779b1) + sbn) & (CACHE_ENTRIES - 1);
