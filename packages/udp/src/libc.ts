import { OperationalError } from '@sluice/ports';
import koffi from 'koffi';

/** The few calls of libc that Node has no equivalent for. Linux, 64 bit. */
const libc = koffi.load('libc.so.6');
const call = {
  socket: libc.func('int socket(int, int, int)'),
  bind: libc.func('int bind(int, const uint8_t *, uint32_t)'),
  setsockopt: libc.func('int setsockopt(int, int, int, const int *, uint32_t)'),
  getsockopt: libc.func('int getsockopt(int, int, int, _Out_ int *, _Inout_ uint32_t *)'),
  sendto: libc.func('long sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)'),
  close: libc.func('int close(int)'),
} as const;

const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const MSG_NOSIGNAL = 0x4000;

const fault = (what: string): OperationalError =>
  new OperationalError('socket', `${what} (errno ${String(koffi.errno())})`, { retryable: false });

function setInt(fd: number, option: number, value: number): boolean {
  return (call.setsockopt(fd, SOL_SOCKET, option, [value], 4) as number) === 0;
}

/**
 * A bound UDP socket as a descriptor to hand to another process. Asks for the receive buffer with force (CAP_NET_ADMIN),
 * then without; `receiveBuffer` is what the kernel really gives. @throws OperationalError `socket`
 */
export function bindUdp(at: { readonly host: string; readonly port: number; readonly receiveBuffer: number }): {
  readonly fd: number;
  readonly receiveBuffer: number;
} {
  const fd = call.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw fault('no UDP socket to be had');
  // The kernel doubles what is asked for, to account for its own overhead.
  const half = Math.floor(at.receiveBuffer / 2);
  if (!setInt(fd, SO_RCVBUFFORCE, half)) setInt(fd, SO_RCVBUF, half);
  const octets = at.host.split('.').map(Number);
  if (octets.length !== 4 || octets.some((octet) => !(octet >= 0 && octet <= 255))) {
    throw new OperationalError('socket', `"${at.host}" is no IPv4 address`, { retryable: false });
  }
  const address = Uint8Array.from([
    AF_INET & 255,
    AF_INET >> 8,
    at.port >> 8,
    at.port & 255,
    ...octets,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  if ((call.bind(fd, address, address.length) as number) !== 0) {
    const error = fault(`UDP port ${String(at.port)} of ${at.host} cannot be bound; is another process on it?`);
    call.close(fd);
    throw error;
  }
  const value = [0];
  call.getsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, [4]);
  return { fd, receiveBuffer: value[0] ?? 0 };
}

/** Sends one datagram to a Unix socket, `@` first for an abstract one: what sd_notify(3) needs. @throws OperationalError `socket` */
export function unixDatagramSend(path: string, message: string): void {
  const fd = call.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw fault('no Unix socket to be had');
  try {
    const name = Buffer.from(path);
    if (path.startsWith('@')) name[0] = 0;
    const address = Buffer.concat([Uint8Array.from([AF_UNIX, 0]), name]);
    const bytes = Buffer.from(message);
    const sent = call.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length) as number;
    if (sent !== bytes.length) throw fault(`nobody takes messages at ${path}`);
  } finally {
    call.close(fd);
  }
}
