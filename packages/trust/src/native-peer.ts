// The credentials of the other end of a Unix socket, through libc. Loaded only where native code is wanted.
import koffi from 'koffi';
import type { Peer } from './peer.ts';

const libc = koffi.load('libc.so.6');
const getsockopt = libc.func('int getsockopt(int, int, int, void *, void *)');
/** Values of the Linux headers (socket.h), and the bytes of `struct ucred`. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;

/** Undefined when the descriptor is no Unix socket. */
export function peerOf(fd: number): Peer | undefined {
  const ucred = new Uint32Array(UCRED_BYTES / 4);
  const asked = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ucred, Uint32Array.of(UCRED_BYTES)) as number;
  const [pid = 0, uid = 0, gid = 0] = ucred;
  return asked === 0 && pid > 0 ? { pid, uid, gid } : undefined;
}
