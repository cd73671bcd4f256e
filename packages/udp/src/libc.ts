import { constants, endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { type OperationalCode, OperationalError } from '@sluice/ports';
import koffi from 'koffi';

/** What a pointer argument may be: an address, or bytes whose address is taken for the length of the call. */
type Pointer = bigint | Uint8Array | Int32Array | Uint32Array | null;

if (endianness() !== 'LE') throw new Error('the native calls are laid out for little-endian processors');

const libc = koffi.load('libc.so.6');

/** Calls of libc: each returns an integer. Linux, 64 bit. */
interface Calls {
  socket: (domain: number, type: number, protocol: number) => number;
  bind: (fd: number, address: Pointer, length: number) => number;
  connect: (fd: number, address: Pointer, length: number) => number;
  close: (fd: number) => number;
  setsockopt: (fd: number, level: number, option: number, value: Pointer, length: number) => number;
  getsockopt: (fd: number, level: number, option: number, value: Pointer, length: Pointer) => number;
  getsockname: (fd: number, address: Pointer, length: Pointer) => number;
  send: (fd: number, bytes: Pointer, length: number, flags: number) => number;
  sendto: (
    fd: number,
    bytes: Pointer,
    length: number,
    flags: number,
    address: Pointer,
    addressLength: number,
  ) => number;
  sendmmsg: (fd: number, messages: Pointer, count: number, flags: number) => number;
  recvmmsg: (fd: number, messages: Pointer, count: number, flags: number, timeout: Pointer) => number;
  poll: (descriptors: Pointer, count: number, timeoutMs: number) => number;
  prctl: (option: number, value: number, a: number, b: number, c: number) => number;
  malloc_trim: (pad: number) => number;
}

export const sys: Calls = {
  socket: libc.func('int socket(int, int, int)'),
  bind: libc.func('int bind(int, void *, uint32_t)'),
  connect: libc.func('int connect(int, void *, uint32_t)'),
  close: libc.func('int close(int)'),
  setsockopt: libc.func('int setsockopt(int, int, int, void *, uint32_t)'),
  getsockopt: libc.func('int getsockopt(int, int, int, void *, void *)'),
  getsockname: libc.func('int getsockname(int, void *, void *)'),
  send: libc.func('long send(int, void *, size_t, int)'),
  sendto: libc.func('long sendto(int, void *, size_t, int, void *, uint32_t)'),
  sendmmsg: libc.func('int sendmmsg(int, void *, uint32_t, int)'),
  recvmmsg: libc.func('int recvmmsg(int, void *, uint32_t, int, void *)'),
  poll: libc.func('int poll(void *, unsigned long, int)'),
  prctl: libc.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)'),
  malloc_trim: libc.func('int malloc_trim(size_t)'),
};

/** Values of the Linux headers (socket.h, in.h, udp.h, prctl.h). */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const SOCK_DGRAM = 2;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_PEERCRED = 17;
export const SO_SNDTIMEO = 21;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MAX_PACING_RATE = 47;
export const SO_MEMINFO = 55;
export const IPPROTO_IP = 0;
export const IP_MTU_DISCOVER = 10;
export const IP_PMTUDISC_PROBE = 3;
export const IP_RECVERR = 11;
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const POLLIN = 1;
export const PR_SET_TIMERSLACK = 29;

/** Layout of `struct mmsghdr`, `struct iovec` and `struct cmsghdr` on 64-bit Linux, in bytes. */
export const MMSGHDR = { bytes: 64, iov: 16, iovLength: 24, control: 32, controlLength: 40, flags: 48, length: 56 };
export const IOVEC = { bytes: 16, base: 0, length: 8 };
export const CMSGHDR = { bytes: 16, length: 0, level: 8, type: 12, align: 8 };

/** `errno` of the last call that failed. Ask before anything else happens. */
export const lastErrno = (): number => koffi.errno();

/** The numbers of this platform by name. */
export const ERRNO = constants.errno;

export const errnoName = (errno: number): string => (errno > 0 ? getSystemErrorName(-errno) : `errno ${errno}`);

/** The address of bytes that are not moved: those of an ArrayBuffer or SharedArrayBuffer made by its constructor. */
export const addressOf = (bytes: Uint8Array): bigint => koffi.address(bytes);

/**
 * Calls `onReadable` once a turn of the event loop while there is something to read. Not from within the binding's own
 * call-back: Node would not run promises and reports no errors after it. A call may come after `close`.
 */
export function watchReadable(fd: number, onReadable: () => void): { close(): void } {
  return koffi.node.poll(fd, { readable: true }, () => {
    setImmediate(onReadable);
  });
}

/** What failed, by the last `errno`, as a failure of the world. */
export function systemFault(code: OperationalCode, what: string, options: { retryable: boolean }): OperationalError {
  return new OperationalError(code, `${what} (${errnoName(lastErrno())})`, options);
}

/** Sets an option with an `int` value; false when the kernel refuses. */
export const setInt = (fd: number, level: number, option: number, value: number): boolean =>
  sys.setsockopt(fd, level, option, Int32Array.of(value), 4) === 0;

/** Reads an option with an `int` value; undefined when the kernel refuses. */
export function getInt(fd: number, level: number, option: number): number | undefined {
  const value = new Int32Array(1);
  return sys.getsockopt(fd, level, option, value, Uint32Array.of(4)) === 0 ? value[0] : undefined;
}
