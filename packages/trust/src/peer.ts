/** Who connected to a Unix socket: process, user and group at that moment, by the kernel's word (unix(7), SO_PEERCRED). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Looks at the other end of a socket of `node:net`; undefined where it cannot be told. */
export type PeerReader = (socket: object) => Peer | undefined;

/** @param io `portable` loads no native code: then nothing can be told. */
export async function openPeerReader(io: 'auto' | 'native' | 'portable'): Promise<PeerReader> {
  if (io === 'portable') return () => undefined;
  try {
    const { peerOf } = await import('./native-peer.ts');
    return (socket) => {
      const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
      return handle?.fd === undefined || handle.fd < 0 ? undefined : peerOf(handle.fd);
    };
  } catch {
    return () => undefined;
  }
}
