import { ethernetBytes } from '@sluice/transfer';

/** What the receiving end saw of one step. */
export interface SeenStep {
  readonly session: number;
  /** By its datagrams and the time over which they came, Ethernet bits a second. */
  readonly bitsPerSecond: number;
  readonly received: number;
  readonly lost: number;
  /** Of what was sent, 0 to 1. */
  readonly loss: number;
  /** Datagrams that came behind a later one. */
  readonly reordered: number;
  /** Losses in a row: how many such bursts, how long in the mean and at most, and the longest as time. */
  readonly bursts: number;
  readonly meanBurst: number;
  readonly longestBurst: number;
  readonly longestBurstMs: number;
  /** Datagrams that the kernel dropped for want of buffer during the step: of `lost`. */
  readonly kernelDrops: number;
  /** Blocks that became whole, of how many. */
  readonly blocks: number;
  readonly blocksWhole: number;
}

/** Longest session that is followed: 2^26 datagrams, 8 MiB of bits. */
const MOST = 2 ** 26;

/** Counts the datagrams of one session by their numbers, which begin at 1 and have no gap. */
export class Tally {
  readonly session: number;
  #bits = new Uint8Array(2 ** 14);
  #highest = 0;
  #received = 0;
  #reordered = 0;
  #firstAt = 0;
  #lastAt = 0;
  /** Of each datagram. */
  bytes: number;
  blocks = 0;
  blocksWhole = 0;
  kernelDrops = 0;

  constructor(session: number, bytes: number) {
    this.session = session;
    this.bytes = bytes;
  }

  /** An authentic datagram that was not seen before. */
  add(sn: number, now: number): void {
    if (sn >= MOST) return;
    while (sn >> 3 >= this.#bits.length) {
      const more = new Uint8Array(2 * this.#bits.length);
      more.set(this.#bits);
      this.#bits = more;
    }
    this.#bits[sn >> 3] = (this.#bits[sn >> 3] ?? 0) | (1 << (sn & 7));
    if (this.#received === 0) this.#firstAt = now;
    this.#lastAt = now;
    this.#received += 1;
    if (sn < this.#highest) this.#reordered += 1;
    else this.#highest = sn;
  }

  get lastAt(): number {
    return this.#lastAt;
  }

  #has(sn: number): boolean {
    return ((this.#bits[sn >> 3] ?? 0) & (1 << (sn & 7))) !== 0;
  }

  step(): SeenStep {
    const lengths: number[] = [];
    let run = 0;
    for (let sn = 1; sn <= this.#highest; sn += 1) {
      if (!this.#has(sn)) run += 1;
      else if (run > 0) {
        lengths.push(run);
        run = 0;
      }
    }
    const sent = this.#highest;
    const lost = sent - this.#received;
    const seconds = (this.#lastAt - this.#firstAt) / 1e9;
    const longest = lengths.reduce((most, each) => Math.max(most, each), 0);
    const each = sent > 1 ? seconds / (sent - 1) : 0;
    return {
      session: this.session,
      bitsPerSecond: seconds > 0 ? ((sent - 1) * ethernetBytes(this.bytes) * 8) / seconds : 0,
      received: this.#received,
      lost,
      loss: sent === 0 ? 0 : lost / sent,
      reordered: this.#reordered,
      bursts: lengths.length,
      meanBurst: lengths.length === 0 ? 0 : lost / lengths.length,
      longestBurst: longest,
      longestBurstMs: longest * each * 1000,
      kernelDrops: this.kernelDrops,
      blocks: this.blocks,
      blocksWhole: this.blocksWhole,
    };
  }
}
