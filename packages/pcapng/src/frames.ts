// From a captured frame to the UDP payload in it. Lengths come from the headers; what the capture cut off is missing at the end.
// Checksums are not judged: captures on the sending host hold them unfinished (offload).
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_IPV4,
  LINKTYPE_IPV6,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_RAW,
} from './blocks.ts';
import { IPV6_EXTENSIONS_MAX, VLAN_TAGS_MAX } from './limits.ts';

export interface UdpDatagram {
  readonly srcPort: number;
  readonly dstPort: number;
  /** A view into the capture's buffer; shorter than `originalLength` when the capture was cut. */
  readonly payload: Uint8Array;
  /** Bytes of the UDP payload on the wire. */
  readonly originalLength: number;
}

/** Why a frame brought no datagram. */
export const SKIP_REASONS = [
  'link-type',
  'not-ip',
  'not-udp',
  'fragment',
  'bad-ip',
  'bad-udp',
  'cut-headers',
  'no-interface',
  'oversized',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPES_VLAN = [0x8100, 0x88a8, 0x9100];
const UDP = 17;
const FRAGMENT = 44;
/** IPv6 extension headers with a length in octets of 8: hop-by-hop, routing, destination options. */
const IPV6_EXTENSIONS = [0, 43, 60];
const UDP_HEADER_BYTES = 8;

const u8 = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
const u16 = (bytes: Uint8Array, at: number): number => (u8(bytes, at) << 8) | u8(bytes, at + 1);

/** `ip` starts at UDP's header and ends where the capture does; `ipBytes` is what IP said follows. */
function udp(bytes: Uint8Array, ipBytes: number): UdpDatagram | SkipReason {
  if (bytes.length < UDP_HEADER_BYTES) return ipBytes < UDP_HEADER_BYTES ? 'bad-udp' : 'cut-headers';
  const length = u16(bytes, 4);
  if (length < UDP_HEADER_BYTES || length > ipBytes) return 'bad-udp';
  const payload = bytes.subarray(UDP_HEADER_BYTES, Math.min(bytes.length, length));
  return { srcPort: u16(bytes, 0), dstPort: u16(bytes, 2), payload, originalLength: length - UDP_HEADER_BYTES };
}

function ipv4(bytes: Uint8Array): UdpDatagram | SkipReason {
  if (bytes.length < 20) return 'cut-headers';
  const headerBytes = (u8(bytes, 0) & 15) * 4;
  const total = u16(bytes, 2);
  if (u8(bytes, 0) >>> 4 !== 4 || headerBytes < 20 || total < headerBytes) return 'bad-ip';
  // More fragments, or an offset.
  if ((u16(bytes, 6) & 0x3fff) !== 0) return 'fragment';
  if (u8(bytes, 9) !== UDP) return 'not-udp';
  if (bytes.length < headerBytes) return 'cut-headers';
  return udp(bytes.subarray(headerBytes, Math.min(bytes.length, total)), total - headerBytes);
}

function ipv6(bytes: Uint8Array): UdpDatagram | SkipReason {
  if (bytes.length < 40) return 'cut-headers';
  if (u8(bytes, 0) >>> 4 !== 6) return 'bad-ip';
  const end = 40 + u16(bytes, 4);
  let next = u8(bytes, 6);
  let at = 40;
  for (let extensions = 0; IPV6_EXTENSIONS.includes(next); extensions++) {
    if (extensions === IPV6_EXTENSIONS_MAX) return 'bad-ip';
    if (bytes.length < at + 8) return 'cut-headers';
    next = u8(bytes, at);
    at += (u8(bytes, at + 1) + 1) * 8;
  }
  if (next === FRAGMENT) return 'fragment';
  if (next !== UDP) return 'not-udp';
  if (at > end) return 'bad-ip';
  return udp(bytes.subarray(at, Math.min(bytes.length, end)), end - at);
}

function byEtherType(type: number, bytes: Uint8Array): UdpDatagram | SkipReason {
  if (type === ETHERTYPE_IPV4) return ipv4(bytes);
  return type === ETHERTYPE_IPV6 ? ipv6(bytes) : 'not-ip';
}

function ethernet(bytes: Uint8Array): UdpDatagram | SkipReason {
  let at = 12;
  for (let tags = 0; tags < VLAN_TAGS_MAX && ETHERTYPES_VLAN.includes(u16(bytes, at)); tags++) at += 4;
  return bytes.length < at + 2 ? 'cut-headers' : byEtherType(u16(bytes, at), bytes.subarray(at + 2));
}

function raw(bytes: Uint8Array): UdpDatagram | SkipReason {
  if (bytes.length === 0) return 'cut-headers';
  const version = u8(bytes, 0) >>> 4;
  if (version === 4) return ipv4(bytes);
  return version === 6 ? ipv6(bytes) : 'not-ip';
}

/** The UDP datagram in a frame of this link type, or why there is none. Total on any bytes. */
export function datagramOf(linkType: number, bytes: Uint8Array): UdpDatagram | SkipReason {
  switch (linkType) {
    case LINKTYPE_ETHERNET:
      return ethernet(bytes);
    case LINKTYPE_RAW:
      return raw(bytes);
    case LINKTYPE_IPV4:
      return ipv4(bytes);
    case LINKTYPE_IPV6:
      return ipv6(bytes);
    case LINKTYPE_LINUX_SLL:
      return bytes.length < 16 ? 'cut-headers' : byEtherType(u16(bytes, 14), bytes.subarray(16));
    case LINKTYPE_LINUX_SLL2:
      return bytes.length < 20 ? 'cut-headers' : byEtherType(u16(bytes, 0), bytes.subarray(20));
    default:
      return 'link-type';
  }
}
