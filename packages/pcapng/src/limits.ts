// Limits of chunk logs and captures. Each is counted or reported when it is reached.

/** Longest UDP payload in IPv4: 65535 - 20 - 8. */
export const DATAGRAM_BYTES_MAX = 65_507;
/** One piece of the chunk log's buffer; it holds whole blocks. Longer than the longest block. */
export const PIECE_BYTES = 256 * 1024;
/** Least size of a log file: two pieces, so that one fits beside the headers. */
export const FILE_BYTES_MIN = 2 * PIECE_BYTES;
/** Room kept for the statistics of one interface at the end of a file. */
export const STATISTICS_BYTES = 128;
/** A capture's block or record beyond this is passed over, not held. */
export const BLOCK_BYTES_MAX = 1024 * 1024;
/** Interfaces of one section that a reader keeps. */
export const INTERFACES_MAX = 1024;
/** Bytes of a packet's comment that a reader keeps. */
export const COMMENT_BYTES_MAX = 256;
/** VLAN tags, and IPv6 extension headers, that a reader walks over. */
export const VLAN_TAGS_MAX = 4;
export const IPV6_EXTENSIONS_MAX = 8;
