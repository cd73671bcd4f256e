import { OperationalError } from '@sluice/ports';
import {
  AF_INET,
  AF_UNIX,
  getInt,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_PROBE,
  IP_RECVERR,
  IPPROTO_IP,
  MSG_NOSIGNAL,
  PR_SET_TIMERSLACK,
  setInt,
  SO_MAX_PACING_RATE,
  SO_MEMINFO,
  SO_PEERCRED,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_SNDTIMEO,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
  sys,
  systemFault,
} from './libc.ts';

/** Longest path of a Unix socket (sockaddr_un without its closing zero). */
const UNIX_PATH_MAX = 107;
const SOCKADDR_IN_BYTES = 16;
/** Fields of what SO_MEMINFO gives (linux/sock_diag.h); the last is the drop count. */
const MEMINFO_FIELDS = 9;
const MEMINFO_DROPS = 8;

/** Where a UDP socket is bound. */
export interface BindOptions {
  /** IPv4 address. */
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Wanted effective receive buffer in bytes, the kernel's own overhead included (SO_RCVBUF as it reads back). */
  readonly receiveBuffer: number;
}

/** Where a UDP socket is connected to. */
export interface ConnectOptions {
  /** IPv4 address. */
  readonly host: string;
  readonly port: number;
  /** Wanted effective send buffer in bytes. */
  readonly sendBuffer: number;
  /** A full send buffer holds a call up for so long at most, in milliseconds. */
  readonly sendTimeoutMs: number;
  /** SO_MAX_PACING_RATE, bytes a second as the queue at the interface counts them; none without. */
  readonly maxPacingRate?: number | undefined;
}

/**
 * A bound UDP socket, closed on exec, as a descriptor to hand to another process. Asks for the receive buffer with force
 * (CAP_NET_ADMIN), then without; `receiveBuffer` is what the kernel really gives. @throws OperationalError `socket`
 */
export function bindUdp(options: BindOptions): {
  readonly fd: number;
  readonly port: number;
  readonly receiveBuffer: number;
} {
  const { host, port, receiveBuffer } = options;
  const address = socketAddress(host, port);
  const fd = openSocket(AF_INET);
  // The kernel doubles what it is asked for, to account for its own overhead.
  const half = Math.floor(receiveBuffer / 2);
  if (!setInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, half)) setInt(fd, SOL_SOCKET, SO_RCVBUF, half);
  if (sys.bind(fd, address, address.length) !== 0) {
    const what = `UDP port ${port} of ${host} cannot be bound; free it or name another in the configuration`;
    throw closeAfter(fd, systemFault('socket', what, { retryable: true }));
  }
  return { fd, port: boundPort(fd), receiveBuffer: receiveBufferOf(fd) };
}

/** A UDP socket connected to the far side of the diode. @throws OperationalError `socket` */
export function connectUdp({ host, port, sendBuffer, sendTimeoutMs, maxPacingRate }: ConnectOptions): number {
  const address = socketAddress(host, port);
  const fd = openSocket(AF_INET);
  const half = Math.floor(sendBuffer / 2);
  if (!setInt(fd, SOL_SOCKET, SO_SNDBUFFORCE, half)) setInt(fd, SOL_SOCKET, SO_SNDBUF, half);
  // Nothing is ever read here; what arrives all the same, and the error queue, may hold as little memory as can be.
  setInt(fd, SOL_SOCKET, SO_RCVBUF, 0);
  const timeout = new BigInt64Array([BigInt(Math.floor(sendTimeoutMs / 1000)), BigInt((sendTimeoutMs % 1000) * 1000)]);
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, new Uint8Array(timeout.buffer), timeout.byteLength);
  // Kept by an fq queue at the interface, without effect under another one; we pace ourselves all the same.
  if (maxPacingRate !== undefined) {
    sys.setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, new Uint8Array(Uint32Array.of(maxPacingRate).buffer), 4);
  }
  // Never fragment: a lost fragment costs the whole datagram. PROBE, not DO: no ICMP message that names a smaller path
  // MTU can be true on a one-way link, so none is believed.
  setInt(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  // Without this the kernel hides it when the interface's queue drops a datagram (ENOBUFS).
  setInt(fd, IPPROTO_IP, IP_RECVERR, 1);
  if (sys.connect(fd, address, address.length) !== 0) {
    const what = `no way to ${host}; give the diode interface its address, and a route if the receiver is in another network`;
    throw closeAfter(fd, systemFault('socket', what, { retryable: true }));
  }
  return fd;
}

/** The effective receive buffer of a socket in bytes. @throws OperationalError `socket` */
export function receiveBufferOf(fd: number): number {
  const size = getInt(fd, SOL_SOCKET, SO_RCVBUF);
  if (size === undefined) throw notASocket(fd);
  return size;
}

/** Datagrams that the kernel dropped at this socket, modulo 2^32. @throws OperationalError `socket` */
export function socketDrops(fd: number): number {
  const fields = new Uint32Array(MEMINFO_FIELDS);
  const got = sys.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, fields, Uint32Array.of(fields.byteLength));
  if (got !== 0) throw notASocket(fd);
  return fields[MEMINFO_DROPS] ?? 0;
}

/** Who is at the other end of a connected Unix stream socket, as the kernel saw it at connect (SO_PEERCRED). @throws OperationalError `socket` */
export function peerCredentials(fd: number): { readonly pid: number; readonly uid: number; readonly gid: number } {
  const fields = new Int32Array(3);
  if (sys.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, fields, Uint32Array.of(fields.byteLength)) !== 0) {
    throw notASocket(fd);
  }
  const [pid = 0, uid = 0, gid = 0] = fields;
  return { pid, uid: uid >>> 0, gid: gid >>> 0 };
}

/**
 * Sends one datagram to a Unix socket, `@` first for an abstract one: what sd_notify(3) needs.
 * @throws OperationalError `socket` when nobody takes it.
 */
export function unixDatagramSend(path: string, message: string | Uint8Array): void {
  const name = Buffer.from(path);
  if (name.length === 0 || name.length > UNIX_PATH_MAX) {
    const what = `"${path.slice(0, UNIX_PATH_MAX)}" is no Unix socket path: it must have 1 to ${UNIX_PATH_MAX} bytes`;
    throw new OperationalError('socket', what, { retryable: false });
  }
  if (path.startsWith('@')) name[0] = 0;
  const address = Buffer.concat([Uint8Array.of(AF_UNIX, 0), name]);
  const bytes = Buffer.from(message);
  const fd = openSocket(AF_UNIX);
  const sent = sys.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length);
  if (sent !== bytes.length) {
    throw closeAfter(fd, systemFault('socket', `nobody takes messages at ${path}`, { retryable: true }));
  }
  sys.close(fd);
}

/** How late, in nanoseconds, the kernel may wake the calling thread to save wake-ups (PR_SET_TIMERSLACK; usual value 50,000). */
export function setTimerSlack(nanoseconds: number): void {
  if (sys.prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0) !== 0) {
    throw systemFault('socket', 'the timer slack of a thread cannot be set', { retryable: false });
  }
}

/**
 * Gives back to the system all whole pages of the C library's heaps in which nothing lies (malloc_trim(3)). By itself the library
 * gives back only what is free at the end of a heap.
 */
export function trimHeaps(): void {
  sys.malloc_trim(0);
}

function openSocket(family: number): number {
  const fd = sys.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    throw systemFault('socket', 'the kernel gives no socket; look at limits and sandbox', { retryable: false });
  return fd;
}

/** The port a UDP socket is bound to. */
export function boundPort(fd: number): number {
  const address = new Uint8Array(SOCKADDR_IN_BYTES);
  sys.getsockname(fd, address, Uint32Array.of(address.length));
  return new DataView(address.buffer).getUint16(2);
}

/** `struct sockaddr_in`. */
function socketAddress(host: string, port: number): Uint8Array {
  const octets = /^\d{1,3}(\.\d{1,3}){3}$/.test(host) ? host.split('.').map(Number) : [];
  if (octets.length === 0 || octets.some((octet) => octet > 255)) {
    throw new OperationalError('socket', `"${host}" is no IPv4 address; write it as four numbers`, {
      retryable: false,
    });
  }
  const address = new Uint8Array(SOCKADDR_IN_BYTES);
  address.set([AF_INET, 0, port >> 8, port & 255, ...octets]);
  return address;
}

function closeAfter(fd: number, error: OperationalError): OperationalError {
  sys.close(fd);
  return error;
}

const notASocket = (fd: number): OperationalError =>
  systemFault('socket', `descriptor ${fd} is not the socket that was expected`, { retryable: false });
