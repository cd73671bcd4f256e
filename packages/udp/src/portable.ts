import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type DatagramBatch,
  type DatagramSink,
  type DatagramSource,
  OperationalError,
  type ReceivedBatch,
} from '@sluice/ports';
import { DropCounter } from './drops.ts';
import { ICMP_ERRORS, SEND_ATTEMPTS, SEND_BUFFER, STALL_MS } from './limits.ts';
import { inodeOfDescriptor, inodeOfPort, procDrops } from './proc.ts';

/** Datagrams handed to the kernel before we wait for it. */
const IN_FLIGHT = 64;
const FULL = new Set(['EAGAIN', 'ENOBUFS', 'ENOMEM']);
const ICMP = new Set<string>(ICMP_ERRORS);

/** A connected UDP socket written through node:dgram. */
export class PortableSink implements DatagramSink {
  readonly #socket: Socket;
  readonly #target: string;
  /** Sends that found an ICMP error of an earlier datagram; the datagrams were sent again. */
  refusals = 0;
  /** Times the kernel had no room. */
  stalls = 0;

  private constructor(socket: Socket, target: string) {
    this.#socket = socket;
    this.#target = target;
    socket.on('error', () => {
      this.refusals += 1;
    });
  }

  /** `host` is an IPv4 address. @throws OperationalError `socket` */
  static async open({ host, port }: { readonly host: string; readonly port: number }): Promise<PortableSink> {
    const socket = createSocket('udp4');
    await settled(socket, `no way to ${host}; give the diode interface its address and a route`, (done) =>
      socket.connect(port, host, done),
    );
    // The kernel doubles what it is asked for.
    socket.setSendBufferSize(SEND_BUFFER / 2);
    return new PortableSink(socket, `${host}:${port}`);
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

  async #sendOne(datagram: Uint8Array): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const code = await new Promise<string | undefined>((resolve) => {
        this.#socket.send(datagram, (error) => resolve(error === null ? undefined : codeOf(error)));
      });
      if (code === undefined) return;
      if (ICMP.has(code)) this.refusals += 1;
      if (FULL.has(code)) this.stalls += 1;
      if (attempt > SEND_ATTEMPTS || !(ICMP.has(code) || FULL.has(code))) throw this.#fault(code, datagram.length);
      if (FULL.has(code)) await delay(STALL_MS);
    }
  }

  #fault(code: string, size: number): OperationalError {
    const tooLong = code === 'EMSGSIZE';
    const what = tooLong
      ? `a datagram of ${size} bytes does not fit the way to ${this.#target}; lower link.symbolBytes or raise the MTU`
      : `the kernel takes no datagram for ${this.#target}; look at the diode interface, its route and its neighbour entry`;
    return new OperationalError('link-send', `${what} (${code})`, { retryable: !tooLong });
  }
}

/** A bound UDP socket read through node:dgram. */
export class PortableSource implements DatagramSource {
  readonly #socket: Socket;
  readonly #inode: string | undefined;
  readonly #drops: DropCounter;
  #closed: Promise<void> | undefined;

  private constructor(socket: Socket, inode: string | undefined) {
    this.#socket = socket;
    this.#inode = inode;
    this.#drops = new DropCounter(() => (inode === undefined ? 0 : (procDrops(inode) ?? 0)));
  }

  /** @throws OperationalError `socket` */
  static async open(
    at: { readonly fd: number } | { readonly host: string; readonly port: number; readonly receiveBuffer: number },
  ): Promise<PortableSource> {
    const given = 'fd' in at;
    // The kernel doubles what it is asked for.
    const buffer = given ? {} : { recvBufferSize: Math.floor(at.receiveBuffer / 2) };
    const socket = createSocket({ type: 'udp4', ...buffer });
    const what = given
      ? `descriptor ${at.fd} is no UDP socket`
      : `UDP port ${at.port} of ${at.host} cannot be bound; free it or name another in the configuration`;
    await settled(socket, what, (done) => {
      if (given) socket.bind({ fd: at.fd }, done);
      else socket.bind({ address: at.host, port: at.port, exclusive: true }, done);
    });
    return new PortableSource(socket, given ? inodeOfDescriptor(at.fd) : inodeOfPort(socket.address().port));
  }

  /** False when the kernel's drop counter cannot be read: /proc/net/udp shows only sockets of our own network namespace. */
  get dropsKnown(): boolean {
    return this.#inode !== undefined && procDrops(this.#inode) !== undefined;
  }

  /** The port it is bound to. */
  get port(): number {
    return this.#socket.address().port;
  }

  start(onBatch: (batch: ReceivedBatch) => void): void {
    const offsets = [0];
    const lengths = [0];
    this.#socket.on('message', (bytes) => {
      lengths[0] = bytes.length;
      onBatch({ bytes, offsets, lengths, count: 1 });
    });
  }

  kernelDrops(): number {
    return this.#drops.total();
  }

  receiveBuffer(): number {
    return this.#socket.getRecvBufferSize();
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#socket.close(resolve);
    });
    return this.#closed;
  }
}

/** Waits for what `begin` begins, or for the socket's error. */
async function settled(socket: Socket, what: string, begin: (done: () => void) => void): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      begin(resolve);
    });
    socket.removeAllListeners('error');
  } catch (cause) {
    socket.close();
    throw new OperationalError('socket', `${what} (${codeOf(cause)})`, { retryable: true, cause });
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
