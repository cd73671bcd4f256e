import type { Arena } from '@sluice/wasm';

/** Direct writes to a disk want memory and file positions that agree modulo this. */
export const PAGE_BYTES = 4096;

/** Hands out stretches of an arena in pages, and so keeps what blocks take in all below a limit. */
export class SegmentMemory {
  readonly #start: number;
  /** A byte for each page: 1 when it is taken. */
  readonly #taken: Uint8Array;
  readonly #pagesAt = new Map<number, number>();
  #cursor = 0;
  #used = 0;

  /** @param bytes the limit, rounded up to whole pages; taken from the arena once */
  constructor(arena: Arena, bytes: number) {
    const pages = Math.ceil(bytes / PAGE_BYTES);
    this.#start = arena.take(pages * PAGE_BYTES, PAGE_BYTES);
    this.#taken = new Uint8Array(pages);
  }

  /** Bytes there are in all. */
  get limit(): number {
    return this.#taken.length * PAGE_BYTES;
  }

  get used(): number {
    return this.#used;
  }

  /** The address of so many bytes, a multiple of the page; undefined when the limit stands in the way. */
  take(bytes: number): number | undefined {
    const pages = Math.ceil(bytes / PAGE_BYTES);
    const first = this.#gap(pages, this.#cursor, this.#taken.length) ?? this.#gap(pages, 0, this.#taken.length);
    if (first === undefined) return undefined;
    this.#taken.fill(1, first, first + pages);
    this.#pagesAt.set(first, pages);
    this.#cursor = first + pages;
    this.#used += pages * PAGE_BYTES;
    return this.#start + first * PAGE_BYTES;
  }

  give(address: number): void {
    const first = (address - this.#start) / PAGE_BYTES;
    const pages = this.#pagesAt.get(first);
    if (pages === undefined) throw new Error('memory that was not taken is given back');
    this.#pagesAt.delete(first);
    this.#taken.fill(0, first, first + pages);
    this.#used -= pages * PAGE_BYTES;
    // What was used last is in the caches, and a small working set stays small.
    this.#cursor = Math.min(this.#cursor, first);
  }

  /** The first of `pages` free pages in a row between two pages. */
  #gap(pages: number, from: number, to: number): number | undefined {
    let first = this.#taken.indexOf(0, from);
    while (first >= 0 && first + pages <= to) {
      const next = this.#taken.indexOf(1, first);
      if (next < 0 || next - first >= pages) return first;
      first = this.#taken.indexOf(0, next);
    }
    return undefined;
  }
}
