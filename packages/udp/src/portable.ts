import { createSocket, type Socket } from 'node:dgram';
import { readFileSync, readlinkSync } from 'node:fs';
import {
  type DatagramBatch,
  type DatagramSink,
  type DatagramSource,
  OperationalError,
  type ReceivedBatch,
} from '@sluice/ports';

/** Datagrams handed to the kernel before we wait for it. */
const IN_FLIGHT = 64;

/** A connected UDP socket written through node:dgram. What ICMP says is counted and passed over: a one-way sender has no use for it. */
export class PortableSink implements DatagramSink {
  readonly #socket: Socket;
  refusals = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {
      this.refusals += 1;
    });
  }

  static async open(host: string, port: number): Promise<PortableSink> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(port, host, resolve);
    });
    socket.removeAllListeners('error');
    return new PortableSink(socket);
  }

  async send({ bytes, size, count }: DatagramBatch): Promise<void> {
    for (let first = 0; first < count; first += IN_FLIGHT) {
      const sends: Promise<void>[] = [];
      for (let i = first; i < Math.min(count, first + IN_FLIGHT); i += 1) {
        sends.push(this.#sendOne(bytes.subarray(i * size, (i + 1) * size)));
      }
      await Promise.all(sends);
    }
  }

  close(): void {
    this.#socket.close();
  }

  #sendOne(datagram: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(datagram, (error) => {
        // A port that nobody listens on (ICMP on loopback) is the receiver's business, not ours.
        if (error === null || (error as NodeJS.ErrnoException).code === 'ECONNREFUSED') resolve();
        else
          reject(
            new OperationalError('link-send', `the kernel refused a datagram: ${error.message}`, {
              retryable: true,
              cause: error,
            }),
          );
      });
    });
  }
}

const OFFSETS = [0];

/** A bound UDP socket read through node:dgram. */
export class PortableSource implements DatagramSource {
  readonly #socket: Socket;
  readonly #inode: string | undefined;

  private constructor(socket: Socket, fd: number | undefined) {
    this.#socket = socket;
    this.#inode = fd === undefined ? undefined : inodeOf(fd);
  }

  static async open(
    at: { readonly fd: number } | { readonly host: string; readonly port: number; readonly receiveBuffer: number },
  ): Promise<PortableSource> {
    const socket = createSocket({ type: 'udp4', ...('fd' in at ? {} : { recvBufferSize: at.receiveBuffer }) });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      if ('fd' in at) socket.bind({ fd: at.fd }, resolve);
      else socket.bind({ address: at.host, port: at.port, exclusive: true }, resolve);
    });
    return new PortableSource(socket, 'fd' in at ? at.fd : undefined);
  }

  start(onBatch: (batch: ReceivedBatch) => void): void {
    this.#socket.on('message', (bytes) => {
      onBatch({ bytes, offsets: OFFSETS, lengths: [bytes.length], count: 1 });
    });
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** From /proc/net/udp, by the socket's inode, or by its port where it has none that we know. */
  kernelDrops(): number {
    const port = this.port.toString(16).toUpperCase().padStart(4, '0');
    const lines = readFileSync('/proc/net/udp', 'utf8').split('\n').slice(1);
    for (const line of lines) {
      const fields = line.trim().split(/\s+/);
      const isOurs = this.#inode === undefined ? fields[1]?.endsWith(`:${port}`) === true : fields[9] === this.#inode;
      if (isOurs) return Number(fields[12]);
    }
    return 0;
  }

  receiveBuffer(): number {
    return this.#socket.getRecvBufferSize();
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.close(resolve);
    });
  }
}

function inodeOf(fd: number): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${String(fd)}`))?.[1];
  } catch {
    return undefined;
  }
}
