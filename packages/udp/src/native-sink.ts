import { setTimeout as delay } from 'node:timers/promises';
import { type DatagramBatch, type DatagramSink, OperationalError } from '@sluice/ports';
import {
  addressOf,
  ERRNO,
  errnoName,
  getInt,
  IOVEC,
  lastErrno,
  MMSGHDR,
  MSG_NOSIGNAL,
  setInt,
  SO_ERROR,
  SOL_SOCKET,
  SOL_UDP,
  sys,
  UDP_SEGMENT,
} from './libc.ts';
import { ICMP_ERRORS, SEND_ATTEMPTS, SEND_BUFFER, STALL_MS } from './limits.ts';
import { connectUdp } from './socket.ts';

/** Datagrams in one segmented send. More gains nothing; every kernel with UDP_SEGMENT takes 64. */
const SEGMENTS = 40;
/** Largest UDP payload over IPv4, also that of a segmented send. */
const PAYLOAD_MAX = 65_507;
/** Datagrams in one sendmmsg. */
const VECTOR = 64;
/** A full send buffer holds the calling thread up for so long at most. */
const SEND_TIMEOUT_MS = 100;

/** Node's longest. */
const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

/** The kernel has no room just now. */
const FULL = new Set([ERRNO.EAGAIN, ERRNO.ENOBUFS, ERRNO.ENOMEM]);
/** What a kernel or an interface says that cannot segment; or, just the same, when a datagram is too long. */
const UNSEGMENTABLE = new Set([ERRNO.EINVAL, ERRNO.EIO, ERRNO.EMSGSIZE, ERRNO.EOPNOTSUPP, ERRNO.ENOPROTOOPT]);
const ICMP = new Set<number>(ICMP_ERRORS.map((name) => ERRNO[name]));

/**
 * A connected UDP socket. A run of datagrams of one size goes to the kernel as one buffer that it cuts (UDP_SEGMENT);
 * where that is refused, datagram by datagram through sendmmsg. Blocks the calling thread while the send buffer is full.
 */
export class NativeSink implements DatagramSink {
  readonly #fd: number;
  readonly #target: string;
  readonly #note: (text: string) => void;
  readonly #vector = new Uint8Array(new ArrayBuffer(VECTOR * (MMSGHDR.bytes + IOVEC.bytes)));
  readonly #view = new DataView(this.#vector.buffer);
  readonly #vectorAddress = addressOf(this.#vector);
  /** An open socket keeps the event loop of its thread running, as Node's own do. */
  readonly #alive = setInterval(() => undefined, LONGEST_INTERVAL_MS);
  #segmentation = true;
  /** Size that the socket cuts at now; 0 is no cutting. */
  #cutAt = 0;
  /** Why segmentation was just given up, until the other way has worked. */
  #suspect: number | undefined;
  #open = true;
  /** Sends that found an ICMP error of an earlier datagram; the datagrams were sent again. */
  refusals = 0;
  /** Times the kernel had no room. */
  stalls = 0;

  constructor(
    at: { readonly host: string; readonly port: number; readonly maxPacingRate?: number | undefined },
    onNote: (text: string) => void = () => undefined,
  ) {
    this.#fd = connectUdp({ ...at, sendBuffer: SEND_BUFFER, sendTimeoutMs: SEND_TIMEOUT_MS });
    this.#target = `${at.host}:${at.port}`;
    this.#note = onNote;
    const iovecs = VECTOR * MMSGHDR.bytes;
    for (let i = 0; i < VECTOR; i += 1) {
      const iovec = iovecs + i * IOVEC.bytes;
      this.#view.setBigUint64(i * MMSGHDR.bytes + MMSGHDR.iov, this.#vectorAddress + BigInt(iovec), true);
      this.#view.setBigUint64(i * MMSGHDR.bytes + MMSGHDR.iovLength, 1n, true);
    }
  }

  /** False once the kernel has refused to cut a run of datagrams. */
  get segmentation(): boolean {
    return this.#segmentation;
  }

  send(batch: DatagramBatch): void | Promise<void> {
    return this.#sendFrom(batch, 0, 0);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#alive);
    sys.close(this.#fd);
  }

  /** Sends from datagram `first` on; `tries` calls in a row have failed so far. */
  #sendFrom(batch: DatagramBatch, first: number, tries: number): void | Promise<void> {
    if (!this.#open) throw new Error('send on a closed sink');
    let failures = tries;
    for (let at = first; at < batch.count;) {
      const sent = this.#segmentation ? this.#sendCut(batch, at) : this.#sendEach(batch, at);
      if (sent > 0) {
        at += sent;
        failures = 0;
        if (this.#suspect !== undefined) this.#sayUnsegmented(this.#suspect);
        continue;
      }
      failures += 1;
      const errno = -sent;
      if (failures > SEND_ATTEMPTS || !this.#canGoOn(errno)) throw this.#fault(errno, batch.size);
      if (FULL.has(errno)) return this.#sendLater(batch, at, failures);
    }
  }

  async #sendLater(batch: DatagramBatch, at: number, failures: number): Promise<void> {
    await delay(STALL_MS);
    await this.#sendFrom(batch, at, failures);
  }

  #canGoOn(errno: number): boolean {
    // The kernel also keeps these for the next call, which would then fail for what this one did.
    if (UNSEGMENTABLE.has(errno)) getInt(this.#fd, SOL_SOCKET, SO_ERROR);
    if (FULL.has(errno)) this.stalls += 1;
    else if (ICMP.has(errno)) this.refusals += 1;
    else if (this.#segmentation && UNSEGMENTABLE.has(errno)) {
      // A datagram that is too long gives the same errors, so this is decided only when sending one by one succeeds.
      this.#segmentation = false;
      this.#cut(0);
      this.#suspect = errno;
    } else {
      if (this.#suspect !== undefined) this.#segmentation = true;
      this.#suspect = undefined;
      return errno === ERRNO.EINTR;
    }
    return true;
  }

  #sayUnsegmented(errno: number): void {
    this.#suspect = undefined;
    this.#note(`the kernel does not segment UDP here (${errnoName(errno)}); sending datagram by datagram`);
  }

  /** Hands over as many datagrams as one segmented send takes. Returns how many, or the negated errno. */
  #sendCut({ bytes, size, count }: DatagramBatch, at: number): number {
    const run = Math.max(1, Math.min(count - at, SEGMENTS, Math.floor(PAYLOAD_MAX / size)));
    if (!this.#cut(size)) return -lastErrno();
    const from = at * size;
    const sent = sys.send(this.#fd, bytes.subarray(from, from + run * size), run * size, MSG_NOSIGNAL);
    return sent < 0 ? -lastErrno() : run;
  }

  /** Tells the kernel at which size to cut what it is given. */
  #cut(size: number): boolean {
    if (size === this.#cutAt) return true;
    if (!setInt(this.#fd, SOL_UDP, UDP_SEGMENT, size)) return false;
    this.#cutAt = size;
    return true;
  }

  #sendEach({ bytes, size, count }: DatagramBatch, at: number): number {
    const run = Math.min(count - at, VECTOR);
    const base = addressOf(bytes);
    const iovecs = VECTOR * MMSGHDR.bytes;
    for (let i = 0; i < run; i += 1) {
      const iovec = iovecs + i * IOVEC.bytes;
      this.#view.setBigUint64(iovec + IOVEC.base, base + BigInt((at + i) * size), true);
      this.#view.setBigUint64(iovec + IOVEC.length, BigInt(size), true);
    }
    const sent = sys.sendmmsg(this.#fd, this.#vectorAddress, run, MSG_NOSIGNAL);
    return sent < 0 ? -lastErrno() : sent;
  }

  #fault(errno: number, size: number): OperationalError {
    if (errno === ERRNO.EMSGSIZE || errno === ERRNO.EINVAL) {
      const what = `a datagram of ${size} bytes does not fit the MTU on the way to ${this.#target}; lower link.symbolBytes or raise the MTU`;
      return new OperationalError('link-send', `${what} (${errnoName(errno)})`, { retryable: false });
    }
    const what = `the kernel takes no datagram for ${this.#target}; look at the diode interface, its route and its neighbour entry`;
    return new OperationalError('link-send', `${what} (${errnoName(errno)})`, { retryable: true });
  }
}
