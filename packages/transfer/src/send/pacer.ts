/** Bytes a datagram takes on Ethernet besides its IP packet: preamble 8, header 14, FCS 4, gap 12 (PROTOCOL.md I-2). */
export const ETHERNET_OVERHEAD = 38;
/** IPv4 and UDP headers. */
export const IP_UDP_HEADERS = 28;

/** Most link time of a burst, in nanoseconds: what leaves together, and what a late sender may catch up. */
export const BURST_NS = 1_000_000;
/** Most link time that one batch of several datagrams may take. */
export const BATCH_NS = 250_000;
/** Most datagrams in one batch: two segmented sends. */
export const BATCH_MAX = 80;

/** Ethernet bytes of a UDP datagram with `payload` bytes over IPv4. */
export const ethernetBytes = (payload: number): number => payload + IP_UDP_HEADERS + ETHERNET_OVERHEAD;

/** What a queue at the interface sees of a datagram beyond its IP packet: the Ethernet header. */
const QUEUE_OVERHEAD = 14;
/** So much faster than we pace, so that the queue never holds up what we let go. */
const QUEUE_SLACK = 1.01;

/** The ceiling in bytes a second as a queue at the interface counts them (SO_MAX_PACING_RATE): 32 bits at most. */
export function queueRate(rate: number, datagram: number): number {
  const share = (datagram + IP_UDP_HEADERS + QUEUE_OVERHEAD) / ethernetBytes(datagram);
  return Math.min(2 ** 32 - 1, Math.ceil((rate / 8) * share * QUEUE_SLACK));
}

/**
 * Token bucket over departure times: keeps a hard ceiling in Ethernet bits per second.
 * In any stretch of time T the datagrams that leave take at most T + 1 ms of link time (T and one datagram, where one takes
 * more than that), however late the caller is. What it cannot catch up is a stall, counted.
 * Times are nanoseconds of a monotonic clock.
 */
export class Pacer {
  /** Link time of one datagram in nanoseconds; 0 when the rate is unlimited. */
  readonly datagramNs: number;
  /** Most link time by which a late sender may catch up. */
  readonly #catchUp: number;
  /** Times that a late sender lost airtime, and how much. */
  stalls = 0;
  stalledNs = 0;
  #free = 0;
  /** Link time of the datagrams granted last, which may have left as late as the next call. */
  #last = 0;
  #resting = true;

  /** @param rate Ethernet bits per second; Infinity for no ceiling. @param datagram UDP payload bytes of each datagram. */
  constructor(rate: number, datagram: number) {
    if (!(rate > 0)) throw new Error('rate must be positive');
    this.datagramNs = rate === Infinity ? 0 : (ethernetBytes(datagram) * 8e9) / rate;
    this.#catchUp = Math.max(0, BURST_NS - Math.max(BATCH_NS, this.datagramNs));
  }

  /** How many datagrams may leave together when each is given `spacingNs` of airtime. */
  batch(spacingNs: number): number {
    if (spacingNs <= 0) return BATCH_MAX;
    return Math.max(1, Math.min(BATCH_MAX, Math.floor(BATCH_NS / spacingNs)));
  }

  /** The time at which the next datagrams may leave; it may lie before `now` by the catch-up. */
  earliest(now: number): number {
    const least = now - this.#catchUp + this.#last;
    if (this.#resting) {
      this.#free = Math.max(this.#free, now);
      this.#resting = false;
    } else if (this.#free < least) {
      this.stalls += 1;
      this.stalledNs += least - this.#free;
      this.#free = least;
    }
    return this.#free;
  }

  /** Takes airtime for `count` datagrams at `spacingNs` each (never less than the rate's own) from `at` on. */
  take(at: number, count: number, spacingNs: number): void {
    this.#free = Math.max(this.#free, at) + count * Math.max(spacingNs, this.datagramNs);
    this.#last = count * this.datagramNs;
  }

  /** There is nothing to send: the time until the next datagram is no stall, and earns no catch-up. */
  rest(): void {
    this.#resting = true;
  }
}
