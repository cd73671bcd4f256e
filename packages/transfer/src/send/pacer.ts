/** Bytes a datagram takes on Ethernet besides its IP packet: preamble 8, header 14, FCS 4, gap 12 (PROTOCOL.md I-2). */
export const ETHERNET_OVERHEAD = 38;
/** IPv4 and UDP headers. */
export const IP_UDP_HEADERS = 28;

/** Most link time that one batch may take, in nanoseconds; the other half of the 1 ms burst is catch-up. */
const BATCH_NS = 500_000;
/** Most link time by which a late sender may catch up; what is beyond is lost time, counted as a stall. */
const CATCH_UP_NS = 500_000;
/** Most datagrams in one batch. */
export const BATCH_MAX = 64;

/** Ethernet bytes of a UDP datagram with `payload` bytes over IPv4. */
export const ethernetBytes = (payload: number): number => payload + IP_UDP_HEADERS + ETHERNET_OVERHEAD;

/**
 * Token bucket over departure times: keeps a hard ceiling in Ethernet bits per second.
 * In any stretch of time T the datagrams granted take at most T + 1 ms of link time (or one datagram).
 * Times are nanoseconds of a monotonic clock.
 */
export class Pacer {
  /** Link time of one datagram in nanoseconds; 0 when the rate is unlimited. */
  readonly datagramNs: number;
  /** Times that a late sender lost airtime, and how much. */
  stalls = 0;
  stalledNs = 0;
  #free = 0;
  #resting = true;

  /** @param rate Ethernet bits per second; Infinity for no ceiling. @param datagram UDP payload bytes of each datagram. */
  constructor(rate: number, datagram: number) {
    if (!(rate > 0)) throw new Error('rate must be positive');
    this.datagramNs = rate === Infinity ? 0 : (ethernetBytes(datagram) * 8e9) / rate;
  }

  /** How many datagrams may leave together when each is given `spacingNs` of airtime. */
  batch(spacingNs: number): number {
    if (spacingNs <= 0) return BATCH_MAX;
    return Math.max(1, Math.min(BATCH_MAX, Math.floor(BATCH_NS / spacingNs)));
  }

  /** The time at which the next datagrams may leave, not before `now` minus the catch-up. */
  earliest(now: number): number {
    if (this.#resting) {
      this.#free = Math.max(this.#free, now);
      this.#resting = false;
    } else if (this.#free < now - CATCH_UP_NS) {
      this.stalls += 1;
      this.stalledNs += now - CATCH_UP_NS - this.#free;
      this.#free = now - CATCH_UP_NS;
    }
    return this.#free;
  }

  /** Takes airtime for `count` datagrams at `spacingNs` each (never less than the rate's own) from `at` on. */
  take(at: number, count: number, spacingNs: number): void {
    this.#free = Math.max(this.#free, at) + count * Math.max(spacingNs, this.datagramNs);
  }

  /** There is nothing to send: the time until the next datagram is no stall, and earns no catch-up. */
  rest(): void {
    this.#resting = true;
  }
}
