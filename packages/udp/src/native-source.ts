import { type DatagramSource, OperationalError, type ReceivedBatch } from '@sluice/ports';
import {
  addressOf,
  CMSGHDR,
  ERRNO,
  errnoName,
  IOVEC,
  lastErrno,
  MMSGHDR,
  MSG_DONTWAIT,
  POLLIN,
  setInt,
  SOL_UDP,
  sys,
  UDP_GRO,
  watchReadable,
} from './libc.ts';
import { DropCounter } from './drops.ts';
import { RECEIVE_BYTES, RECEIVES, SLOT_BYTES } from './limits.ts';
import { boundPort, receiveBufferOf, socketDrops } from './socket.ts';

const VECTOR = RECEIVES;
/** A run of datagrams: where it lies, its bytes, bytes of each datagram. */
const RUN_WORDS = 3;
/** Memory to receive into. */
export interface ReceiveMemory {
  readonly bytes: Uint8Array;
  readonly at: number;
}

/** Most datagrams that the kernel merges into one receive (UDP_MAX_SEGMENTS). */
const SEGMENTS_MAX = 128;
/** Room for control messages: the segment size (24), and what else is switched on at a socket that was handed in. */
const CONTROL_BYTES = 256;
const POLLFD_BYTES = 8;

/**
 * A bound UDP socket read in batches through recvmmsg; datagrams that the kernel has merged (UDP_GRO) are told apart by
 * the segment size. Either `start`, which watches the socket from the event loop of the calling thread, or `receiveOnce`
 * in a loop of one's own. Owns the descriptor. Blocking or not, the descriptor stays as it is for those who share it.
 */
export class NativeSource implements DatagramSource {
  readonly #fd: number;
  readonly #slots: Uint8Array;
  /** Where the slots lie in the memory that was handed in. */
  readonly #slotsAt: number;
  readonly #vector = new Uint8Array(new ArrayBuffer(VECTOR * (MMSGHDR.bytes + IOVEC.bytes + CONTROL_BYTES)));
  readonly #view = new DataView(this.#vector.buffer);
  readonly #vectorAddress = addressOf(this.#vector);
  readonly #batch = {
    bytes: new Uint8Array() as Uint8Array,
    offsets: new Uint32Array(VECTOR * SEGMENTS_MAX),
    lengths: new Uint32Array(VECTOR * SEGMENTS_MAX),
    count: 0,
  };
  readonly #drops: DropCounter;
  /** The port it is bound to. */
  readonly port: number;
  /** Nanoseconds spent in receiving so far. */
  receiveNs = 0;
  #watch: { close(): void } | undefined;
  #open = true;

  /**
   * @param memory where to receive into: RECEIVE_BYTES at `at` of memory that never moves; its own without
   * @throws OperationalError `socket` when `fd` is no socket.
   */
  constructor(fd: number, memory: ReceiveMemory = { bytes: new Uint8Array(new ArrayBuffer(RECEIVE_BYTES)), at: 0 }) {
    this.#fd = fd;
    this.#slots = memory.bytes.subarray(memory.at, memory.at + RECEIVE_BYTES);
    this.#slotsAt = memory.at;
    this.#batch.bytes = this.#slots;
    this.#drops = new DropCounter(() => socketDrops(fd));
    receiveBufferOf(fd);
    this.port = boundPort(fd);
    // A kernel that cannot merge (before 5.0) delivers one by one, which the same code reads.
    setInt(fd, SOL_UDP, UDP_GRO, 1);
    this.#layOut();
  }

  #layOut(): void {
    const slots = addressOf(this.#slots);
    for (let i = 0; i < VECTOR; i += 1) {
      const header = i * MMSGHDR.bytes;
      const iovec = VECTOR * MMSGHDR.bytes + i * IOVEC.bytes;
      this.#view.setBigUint64(iovec + IOVEC.base, slots + BigInt(i * SLOT_BYTES), true);
      this.#view.setBigUint64(iovec + IOVEC.length, BigInt(SLOT_BYTES), true);
      this.#view.setBigUint64(header + MMSGHDR.iov, this.#vectorAddress + BigInt(iovec), true);
      this.#view.setBigUint64(header + MMSGHDR.iovLength, 1n, true);
      this.#view.setBigUint64(header + MMSGHDR.control, this.#vectorAddress + BigInt(controlOf(i)), true);
      this.#view.setUint32(header + MMSGHDR.controlLength, CONTROL_BYTES, true);
    }
  }

  start(onBatch: (batch: ReceivedBatch) => void): void {
    this.#started((received) => {
      this.#batch.count = 0;
      for (let i = 0; i < received; i += 1) this.#split(i);
      onBatch(this.#batch);
    });
  }

  /** As `start`; what came is described in `runs`, and its datagrams are not told apart. */
  startRuns(runs: Uint32Array, onRuns: (count: number) => void): void {
    this.#started((received) => {
      for (let i = 0; i < received; i += 1) {
        const total = this.#view.getUint32(i * MMSGHDR.bytes + MMSGHDR.length, true);
        runs[i * RUN_WORDS] = this.#slotsAt + i * SLOT_BYTES;
        runs[i * RUN_WORDS + 1] = total;
        runs[i * RUN_WORDS + 2] = this.#step(i, total);
      }
      onRuns(received);
    });
  }

  #started(onReceived: (received: number) => void): void {
    if (this.#watch !== undefined) throw new Error('the source was started before');
    this.#watch = watchReadable(this.#fd, () => {
      // One call a turn: a full one is milliseconds of work, and timers, messages and the disk want their turn.
      const received = this.#open ? this.#receive() : 0;
      if (received > 0) onReceived(received);
    });
  }

  /**
   * What there is, else what comes within `timeoutMs` (0 does not wait); undefined when nothing came. Blocks the calling
   * thread. The batch is valid until the next call. @throws OperationalError `link-receive`
   */
  receiveOnce(timeoutMs: number): ReceivedBatch | undefined {
    if (!this.#open) throw new Error('receive on a closed source');
    const there = this.#batchOf(this.#receive());
    if (there !== undefined || timeoutMs <= 0) return there;
    const descriptor = new DataView(new ArrayBuffer(POLLFD_BYTES));
    descriptor.setInt32(0, this.#fd, true);
    descriptor.setInt16(4, POLLIN, true);
    const ready = sys.poll(new Uint8Array(descriptor.buffer), 1, Math.ceil(timeoutMs));
    return ready > 0 ? this.#batchOf(this.#receive()) : undefined;
  }

  #batchOf(received: number): ReceivedBatch | undefined {
    if (received === 0) return undefined;
    this.#batch.count = 0;
    for (let i = 0; i < received; i += 1) this.#split(i);
    return this.#batch;
  }

  kernelDrops(): number {
    return this.#drops.total();
  }

  receiveBuffer(): number {
    return receiveBufferOf(this.#fd);
  }

  close(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    this.#open = false;
    this.#watch?.close();
    // The watch lets go of the descriptor in this turn of the event loop; only then may its number be used again.
    return new Promise((resolve) => {
      setImmediate(() => {
        sys.close(this.#fd);
        resolve();
      });
    });
  }

  /** Fills the batch without waiting; returns the number of receives. */
  #receive(): number {
    const began = performance.now();
    const got = sys.recvmmsg(this.#fd, this.#vectorAddress, VECTOR, MSG_DONTWAIT, null);
    this.receiveNs += (performance.now() - began) * 1e6;
    if (got <= 0) {
      const errno = got < 0 ? lastErrno() : ERRNO.EAGAIN;
      if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return 0;
      const what = `datagrams cannot be received (${errnoName(errno)}); look at the diode interface and restart link`;
      throw new OperationalError('link-receive', what, { retryable: true });
    }
    return got;
  }

  /** Adds the datagrams of receive `i` to the batch. */
  #split(i: number): void {
    const total = this.#view.getUint32(i * MMSGHDR.bytes + MMSGHDR.length, true);
    const step = this.#step(i, total);
    const { offsets, lengths } = this.#batch;
    let at = 0;
    do {
      offsets[this.#batch.count] = i * SLOT_BYTES + at;
      lengths[this.#batch.count] = Math.min(step, total - at);
      this.#batch.count += 1;
      at += step;
    } while (at < total);
  }

  /** Bytes of each datagram of receive `i`, which has `total`; makes room for the next control messages. */
  #step(i: number, total: number): number {
    const header = i * MMSGHDR.bytes;
    const size = this.#segmentSize(i, this.#view.getUint32(header + MMSGHDR.controlLength, true));
    this.#view.setUint32(header + MMSGHDR.controlLength, CONTROL_BYTES, true);
    // More segments than any kernel merges: handed on as one datagram, which is refused for its length.
    return size > 0 && total <= size * SEGMENTS_MAX ? size : total;
  }

  /** The segment size of receive `i`, 0 when it is one datagram. It need not be the first control message. */
  #segmentSize(i: number, controlLength: number): number {
    const control = controlOf(i);
    const end = control + Math.min(controlLength, CONTROL_BYTES);
    for (let at = control; at + CMSGHDR.bytes <= end;) {
      const length = this.#view.getUint32(at + CMSGHDR.length, true);
      const level = this.#view.getInt32(at + CMSGHDR.level, true);
      const type = this.#view.getInt32(at + CMSGHDR.type, true);
      if (level === SOL_UDP && type === UDP_GRO) return this.#view.getInt32(at + CMSGHDR.bytes, true);
      at += Math.max(CMSGHDR.bytes, Math.ceil(length / CMSGHDR.align) * CMSGHDR.align);
    }
    return 0;
  }
}

/** Where the control messages of receive `i` lie, after all headers and vectors. */
const controlOf = (i: number): number => VECTOR * (MMSGHDR.bytes + IOVEC.bytes) + i * CONTROL_BYTES;
