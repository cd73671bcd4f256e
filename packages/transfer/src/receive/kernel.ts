import { type Arena, openKernel } from '@sluice/wasm';
import type { Authenticator, TogetherCheck, Verdict } from '@sluice/ports';
import { TAG_BYTES, TAG_JOB_WORDS } from '@sluice/ports';
import { LINK_KERNEL } from '../kernel.wasm.ts';
import type { Stopwatch } from '../stopwatch.ts';
import { BlockCache, CACHE_ENTRIES } from './cache.ts';
import type { ReceiveStop } from './types.ts';

/** What kernel/kernel.ts exports for receiving. */
interface Exports {
  layOut(
    offsets: number,
    lengths: number,
    codes: number,
    savedTags: number,
    computedTags: number,
    jobs: number,
    cache: number,
    cacheEntries: number,
    counts: number,
    datagrams: number,
  ): void;
  follow(tsi: number, asid: number, datagramBytes: number, window: number): void;
  split(runs: number, count: number): number;
  admit(count: number): number;
  nonces(first: number, count: number, to: number): void;
  chain(first: number, count: number, masks: number, to: number): number;
  vouch(first: number, count: number): void;
  place(from: number, count: number): number;
}

/** Datagrams in one batch at most: what a kernel that merges as many as it may gives in one receive of 32. */
export const BATCH_DATAGRAMS = 4096;
/** Runs in one batch at most. */
export const BATCH_RUNS = 64;
export const RUN_WORDS = 3;

/** Tags checked together at most; with fewer than a few it is not worth it. */
const TOGETHER_MAX = 64;
const TOGETHER_MIN = 4;
/** Room for the bytes of as many: few enough to stay in a processor's own cache. */
const CHAIN_BYTES = 131_072;
const BLOCK_BYTES = 16;
/** After one that does not hold, so many groups are checked tag by tag at once: where it rains forgeries, nothing is done twice. */
const WARY_GROUPS = 16;

/** Codes of the kernel that are verdicts, by number. */
const VERDICTS: readonly Verdict[] = ['accepted', 'surplus', 'replayed', 'bad-tag'];
const ACCEPTED = VERDICTS.indexOf('accepted');
const SURPLUS = VERDICTS.indexOf('surplus');
/** What the host must do with the datagram at which `place` stopped. */
export const HOST = 251;
export const PLACE = 252;
export const WHOLE = 253;

/** Admits and places whole batches of datagrams of one session and key in WebAssembly; the rest it leaves to the host. */
export class ReceiveKernel {
  readonly cache: BlockCache;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly codes: Uint8Array;
  /** Where the runs of a batch are written before `split`: offset, bytes, bytes of a datagram. */
  readonly runs: Uint32Array;
  readonly #arena: Arena;
  readonly #exports: Exports;
  readonly #runsAt: number;
  readonly #jobs: Uint32Array;
  readonly #counts: Uint32Array;
  readonly #masksAt: number;
  readonly #chainAt: number;
  #wary = 0;
  #group = 0;

  private constructor(arena: Arena, exports: Exports) {
    this.#arena = arena;
    this.#exports = exports;
    this.cache = new BlockCache(arena);
    const words = (count: number): readonly [number, Uint32Array] => {
      const at = arena.take(count * 4);
      return [at, new Uint32Array(arena.bytes.buffer, at, count)];
    };
    const [offsetsAt, offsets] = words(BATCH_DATAGRAMS);
    const [lengthsAt, lengths] = words(BATCH_DATAGRAMS);
    const [jobsAt, jobs] = words(BATCH_DATAGRAMS * TAG_JOB_WORDS);
    const [countsAt, counts] = words(256);
    const [runsAt, runs] = words(BATCH_RUNS * RUN_WORDS);
    const codesAt = arena.take(BATCH_DATAGRAMS);
    const savedTags = arena.take(BATCH_DATAGRAMS * TAG_BYTES);
    const computedTags = arena.take(BATCH_DATAGRAMS * TAG_BYTES);
    this.offsets = offsets;
    this.lengths = lengths;
    this.#jobs = jobs;
    this.#counts = counts;
    this.#masksAt = arena.take(TOGETHER_MAX * BLOCK_BYTES);
    this.#chainAt = arena.take(CHAIN_BYTES);
    this.runs = runs;
    this.#runsAt = runsAt;
    this.codes = arena.view(codesAt, BATCH_DATAGRAMS);
    exports.layOut(
      ...([offsetsAt, lengthsAt, codesAt, savedTags, computedTags, jobsAt, this.cache.address] as const),
      ...([CACHE_ENTRIES, countsAt, BATCH_DATAGRAMS] as const),
    );
  }

  /** Undefined where the runtime has no WebAssembly: everything is the host's then. */
  static open(arena: Arena): ReceiveKernel | undefined {
    const exports = openKernel(LINK_KERNEL, arena);
    return exports === undefined ? undefined : new ReceiveKernel(arena, exports as Exports);
  }

  /** Whose datagrams are judged here; with no window, nobody's. */
  follow(tsi: number, asid: number, datagramBytes: number, window: number): void {
    this.cache.clear();
    const chained = Math.ceil(datagramBytes / BLOCK_BYTES) * BLOCK_BYTES + 2 * BLOCK_BYTES;
    this.#group = Math.min(TOGETHER_MAX, Math.floor(CHAIN_BYTES / chained));
    this.#exports.follow(tsi, asid, datagramBytes, window);
  }

  /** Fills `offsets` and `lengths` from the first `count` of `runs`; how many datagrams there are. */
  split(count: number): number {
    return this.#exports.split(this.#runsAt, count);
  }

  /** First half of admitting: header compares, replay window, and the tags of what passes. How many were checked. */
  admit(count: number, authenticator: Authenticator, watch: Stopwatch<ReceiveStop>): number {
    const candidates = this.#exports.admit(count);
    watch.lap('admit');
    for (let first = 0; first < candidates; first += this.#group) {
      this.#check(first, Math.min(this.#group, candidates - first), authenticator);
    }
    watch.lap('tag');
    return candidates;
  }

  /** The tags of one group: together, and one by one when they do not hold together (docs/adr/0009). */
  #check(first: number, count: number, authenticator: Authenticator): void {
    if (this.#wary > 0) this.#wary -= 1;
    else if (authenticator.together !== undefined && count >= TOGETHER_MIN) {
      if (this.#hold(first, count, authenticator.together)) {
        this.#exports.vouch(first, count);
        return;
      }
      this.#wary = WARY_GROUPS;
    }
    authenticator.tags(this.#arena.bytes, this.#jobs.subarray(first * TAG_JOB_WORDS), count);
  }

  #hold(first: number, count: number, together: TogetherCheck): boolean {
    const { bytes } = this.#arena;
    this.#exports.nonces(first, count, this.#masksAt);
    together.mask(bytes, this.#masksAt, count * BLOCK_BYTES);
    const length = this.#exports.chain(first, count, this.#masksAt, this.#chainAt);
    return together.isZero(bytes, this.#chainAt, length);
  }

  /** Second half, in the order of arrival, up to a datagram for the host; `count` when there is none. */
  place(from: number, count: number): number {
    return this.#exports.place(from, count);
  }

  verdict(index: number): Verdict {
    return VERDICTS[this.codes[index] ?? 0] ?? 'accepted';
  }

  /** Adds what the kernel has counted since the last call; how many of these were authentic. */
  drain(verdicts: Map<Verdict, number>): number {
    const authentic = (this.#counts[ACCEPTED] ?? 0) + (this.#counts[SURPLUS] ?? 0);
    VERDICTS.forEach((verdict, code) => {
      const count = this.#counts[code] ?? 0;
      if (count > 0) verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + count);
      this.#counts[code] = 0;
    });
    return authentic;
  }
}
