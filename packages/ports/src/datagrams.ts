/** Datagrams laid end to end in one buffer: `count` of `size` bytes each, the unit in which the link is written and read. */
export interface DatagramBatch {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly count: number;
}

/** The way out: one connected UDP socket, or a capture file. */
export interface DatagramSink {
  /** Hands the datagrams to the kernel in order; resolves when the buffer may be used again. Throws OperationalError `link-send`. */
  send(batch: DatagramBatch): void | Promise<void>;
  close(): void;
}

/** What one receive brought: datagrams of any length, at `offsets[i]` with `lengths[i]` bytes in `bytes`. Valid during the call only. */
export interface ReceivedBatch {
  readonly bytes: Uint8Array;
  readonly offsets: ArrayLike<number>;
  readonly lengths: ArrayLike<number>;
  readonly count: number;
}

/** The way in: one bound UDP socket. */
export interface DatagramSource {
  /** Starts delivery. `onBatch` runs to its end before the next receive. */
  start(onBatch: (batch: ReceivedBatch) => void): void;
  /**
   * As `start`, where datagrams come in batches into memory that was handed in: each time `runs` holds three words for each
   * of `count` runs, where it lies in that memory, its bytes, bytes of each datagram (the last may be shorter).
   */
  startRuns?(runs: Uint32Array, onRuns: (count: number) => void): void;
  /** UDP port that the socket is bound to. */
  readonly port: number;
  /** Datagrams that the kernel dropped for want of buffer since the socket was made. */
  kernelDrops(): number;
  /** The effective receive buffer in bytes, as read back from the kernel. */
  receiveBuffer(): number;
  close(): Promise<void>;
}
