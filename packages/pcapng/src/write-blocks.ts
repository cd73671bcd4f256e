// pcapng blocks, little-endian. The two that run per datagram or per file; nothing here knows files.
import {
  BLOCK_OVERHEAD,
  BYTE_ORDER_MAGIC,
  ENHANCED_PACKET,
  IF_DESCRIPTION,
  IF_NAME,
  IF_TSRESOL,
  INTERFACE_DESCRIPTION,
  INTERFACE_STATISTICS,
  ISB_ENDTIME,
  ISB_IFDROP,
  ISB_IFRECV,
  ISB_OSDROP,
  ISB_STARTTIME,
  ISB_USRDELIV,
  LINKTYPE_RAW,
  OPT_COMMENT,
  OPT_END,
  SECTION_HEADER,
  SHB_HARDWARE,
  SHB_OS,
  SHB_USERAPPL,
  VERSION_MAJOR,
  padded,
} from './blocks.ts';

type Option = readonly [code: number, value: Uint8Array | string | undefined];

const TSRESOL_NANOSECONDS = 9;
const encoder = new TextEncoder();

/** Options with their end mark; those without a value are left out. */
function options(list: readonly Option[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const [code, value] of list) {
    if (value === undefined) continue;
    const bytes = typeof value === 'string' ? encoder.encode(value) : value;
    const piece = new Uint8Array(4 + padded(bytes.length));
    const view = new DataView(piece.buffer);
    view.setUint16(0, code, true);
    view.setUint16(2, bytes.length, true);
    piece.set(bytes, 4);
    pieces.push(piece);
  }
  if (pieces.length === 0) return new Uint8Array(0);
  return concatenated([...pieces, new Uint8Array([OPT_END, 0, 0, 0])]);
}

export function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function block(type: number, fixed: Uint8Array, optionList: readonly Option[]): Uint8Array {
  const tail = options(optionList);
  const bytes = new Uint8Array(BLOCK_OVERHEAD + fixed.length + tail.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, bytes.length, true);
  bytes.set(fixed, 8);
  bytes.set(tail, 8 + fixed.length);
  view.setUint32(bytes.length - 4, bytes.length, true);
  return bytes;
}

function fixed(bytes: number, write: (view: DataView) => void): Uint8Array {
  const out = new Uint8Array(bytes);
  write(new DataView(out.buffer));
  return out;
}

const u64 = (value: bigint): Uint8Array =>
  fixed(8, (view) => {
    view.setBigUint64(0, value, true);
  });
/** pcapng times are two 32-bit halves, the high one first, also in little-endian. */
const halves = (value: bigint): Uint8Array =>
  fixed(8, (view) => {
    view.setUint32(0, Number(value >> 32n), true);
    view.setUint32(4, Number(value & 0xffffffffn), true);
  });

export interface SectionDescription {
  readonly hardware?: string | undefined;
  readonly os?: string | undefined;
  /** Name and version of the program that writes. */
  readonly application: string;
  readonly comment?: string | undefined;
}

export function sectionHeader(section: SectionDescription): Uint8Array {
  const body = fixed(16, (view) => {
    view.setUint32(0, BYTE_ORDER_MAGIC, true);
    view.setUint16(4, VERSION_MAJOR, true);
    // Section length -1: not given, since the file grows.
    view.setBigInt64(8, -1n, true);
  });
  return block(SECTION_HEADER, body, [
    [OPT_COMMENT, section.comment],
    [SHB_HARDWARE, section.hardware],
    [SHB_OS, section.os],
    [SHB_USERAPPL, section.application],
  ]);
}

/** An interface of raw IPv4 packets with times in nanoseconds. */
export function interfaceDescription(name: string, description: string, snapBytes: number): Uint8Array {
  const body = fixed(8, (view) => {
    view.setUint16(0, LINKTYPE_RAW, true);
    view.setUint32(4, snapBytes, true);
  });
  return block(INTERFACE_DESCRIPTION, body, [
    [IF_NAME, name],
    [IF_DESCRIPTION, description],
    [IF_TSRESOL, new Uint8Array([TSRESOL_NANOSECONDS])],
  ]);
}

export interface InterfaceStatistics {
  /** Times in nanoseconds since 1970. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Datagrams offered to the log. */
  readonly received: number;
  /** Datagrams left out because the log's buffer was full. */
  readonly droppedByLog: number;
  /** Datagrams that the kernel dropped before anyone saw them. */
  readonly droppedByKernel: number;
  /** Datagrams in the file. */
  readonly written: number;
}

export function interfaceStatistics(interfaceId: number, statistics: InterfaceStatistics): Uint8Array {
  const head = fixed(4, (view) => {
    view.setUint32(0, interfaceId, true);
  });
  return block(INTERFACE_STATISTICS, concatenated([head, halves(statistics.endNs)]), [
    [ISB_STARTTIME, halves(statistics.startNs)],
    [ISB_ENDTIME, halves(statistics.endNs)],
    [ISB_IFRECV, u64(BigInt(statistics.received))],
    [ISB_IFDROP, u64(BigInt(statistics.droppedByLog))],
    [ISB_OSDROP, u64(BigInt(statistics.droppedByKernel))],
    [ISB_USRDELIV, u64(BigInt(statistics.written))],
  ]);
}

/** The options of a packet whose comment is this text. Make it once per text. */
export const commentOptions = (comment: string): Uint8Array => options([[OPT_COMMENT, comment]]);

const PACKET_HEAD = 28;

/** Bytes of a packet block with `captured` bytes of packet. */
export const packetBlockBytes = (captured: number, tail: Uint8Array): number =>
  PACKET_HEAD + padded(captured) + tail.length + 4;

/** Bytes, and a view of the same bytes. */
export interface Target {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export interface PacketTimes {
  /** Upper and lower 32 bits of the nanoseconds since 1970. */
  readonly high: number;
  readonly low: number;
}

/**
 * Writes an Enhanced Packet Block at `offset` but for the packet's bytes, and returns where those go.
 * The room must be there (`packetBlockBytes`) and be zero where padding goes.
 */
export function writePacketBlock(
  target: Target,
  offset: number,
  packet: { interfaceId: number; times: PacketTimes; captured: number; original: number; tail: Uint8Array },
): number {
  const { view } = target;
  const { captured, tail } = packet;
  const length = packetBlockBytes(captured, tail);
  view.setUint32(offset, ENHANCED_PACKET, true);
  view.setUint32(offset + 4, length, true);
  view.setUint32(offset + 8, packet.interfaceId, true);
  view.setUint32(offset + 12, packet.times.high, true);
  view.setUint32(offset + 16, packet.times.low, true);
  view.setUint32(offset + 20, captured, true);
  view.setUint32(offset + 24, packet.original, true);
  const dataAt = offset + PACKET_HEAD;
  const tailAt = dataAt + padded(captured);
  // Pieces are used again, so padding is cleared here.
  for (let at = dataAt + captured; at < tailAt; at++) view.setUint8(at, 0);
  target.bytes.set(tail, tailAt);
  view.setUint32(offset + length - 4, length, true);
  return dataAt;
}
