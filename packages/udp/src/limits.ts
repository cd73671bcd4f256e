/** Effective send buffer asked of the kernel, bytes. Larger, and the interface's queue overflows first, which loses datagrams. */
export const SEND_BUFFER = 2 ** 20;
/** Calls in a row that may fail before a send is given up. */
export const SEND_ATTEMPTS = 100;
/** Wait before the next try while the kernel has no room, milliseconds. */
export const STALL_MS = 1;
/** What an ICMP message about an earlier datagram turns into; a one-way sender counts it and goes on. */
export const ICMP_ERRORS = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOPROTOOPT', 'EACCES'] as const;
/** Room for one receive: more than the largest UDP payload over IPv4 (65,507), so no datagram is ever cut. */
export const SLOT_BYTES = 65_536;
/** Receives in one recvmmsg. */
export const RECEIVES = 32;
/** Memory that a native source receives into. */
export const RECEIVE_BYTES = RECEIVES * SLOT_BYTES;
