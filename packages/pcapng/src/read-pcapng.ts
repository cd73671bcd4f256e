// pcapng (draft-ietf-opsawg-pcapng): several sections, both byte orders, blocks of any type.
import {
  BLOCK_OVERHEAD,
  BYTE_ORDER_MAGIC,
  BYTE_ORDER_MAGIC_SWAPPED,
  ENHANCED_PACKET,
  INTERFACE_DESCRIPTION,
  INTERFACE_STATISTICS,
  LINKTYPE_RAW,
  SECTION_HEADER,
  SIMPLE_PACKET,
  VERSION_MAJOR,
  padded,
} from './blocks.ts';
import type { ByteStream } from './byte-stream.ts';
import {
  type CaptureCode,
  type CaptureFault,
  type CapturedDatagram,
  type CaptureStatistics,
  type Counts,
  fault,
} from './capture.ts';
import { type SkipReason, datagramOf } from './frames.ts';
import { BLOCK_BYTES_MAX, INTERFACES_MAX } from './limits.ts';
import { type CaptureInterface, captureInterface, commentOf, statisticsOf } from './section.ts';

const SECTION_HEADER_BYTES_MIN = 28;
const SECTION_PEEK_BYTES = 12;
/** Bytes looked through at a time for the next block. */
const SCAN_BYTES = 64 * 1024;
const KNOWN_BLOCKS: readonly number[] = [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET, INTERFACE_STATISTICS];

interface Section {
  readonly littleEndian: boolean;
  readonly interfaces: CaptureInterface[];
  /** Stands for an interface whose description was lost. */
  readonly fallback?: CaptureInterface;
}

/** As we write captures: what is assumed where their head is damaged. */
const OURS: CaptureInterface = { linkType: LINKTYPE_RAW, toNs: (units) => units, snapBytes: 0 };

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** A block's body, or what was wrong. `skipped`: too long to hold, passed over. */
async function body(
  stream: ByteStream,
  type: number,
  littleEndian: boolean,
): Promise<Uint8Array | CaptureCode | 'skipped'> {
  const head = await stream.take(8);
  if (head.length < 8) return 'truncated';
  const total = viewOf(head).getUint32(4, littleEndian);
  const least = type === SECTION_HEADER ? SECTION_HEADER_BYTES_MIN : BLOCK_OVERHEAD;
  if (total < least || total % 4 !== 0) return 'bad-block';
  if (total > BLOCK_BYTES_MAX) return (await stream.skip(total - 8)) ? 'skipped' : 'truncated';
  const rest = stream.has(total - 8) ? stream.takeNow(total - 8) : await stream.take(total - 8);
  if (rest.length < total - 8) return 'truncated';
  if (viewOf(rest).getUint32(rest.length - 4, littleEndian) !== total) return 'bad-block';
  return rest.subarray(0, rest.length - 4);
}

function enhancedPacket(bytes: Uint8Array, section: Section): CapturedDatagram | SkipReason | CaptureCode {
  if (bytes.length < 20) return 'bad-block';
  const { littleEndian, interfaces } = section;
  const view = viewOf(bytes);
  const interfaceId = view.getUint32(0, littleEndian);
  const captured = view.getUint32(12, littleEndian);
  if (captured > bytes.length - 20) return 'bad-block';
  const from = interfaces[interfaceId] ?? section.fallback;
  if (from === undefined) return 'no-interface';
  const udp = datagramOf(from.linkType, bytes.subarray(20, 20 + captured));
  if (typeof udp === 'string') return udp;
  const units = (BigInt(view.getUint32(4, littleEndian)) << 32n) | BigInt(view.getUint32(8, littleEndian));
  const comment = commentOf(view, 20 + padded(captured), littleEndian);
  return { kind: 'datagram', timestampNs: from.toNs(units), udp, comment, interfaceId };
}

function simplePacket(bytes: Uint8Array, section: Section): CapturedDatagram | SkipReason | CaptureCode {
  if (bytes.length < 4) return 'bad-block';
  const from = section.interfaces[0];
  if (from === undefined) return 'no-interface';
  const original = viewOf(bytes).getUint32(0, section.littleEndian);
  const snapped = from.snapBytes === 0 ? original : Math.min(original, from.snapBytes);
  const udp = datagramOf(from.linkType, bytes.subarray(4, 4 + Math.min(snapped, bytes.length - 4)));
  return typeof udp === 'string' ? udp : { kind: 'datagram', timestampNs: 0n, udp, comment: undefined, interfaceId: 0 };
}

/** What one block brings: a datagram, nothing to yield, or the end of reading. */
function item(
  type: number,
  bytes: Uint8Array,
  section: Section,
  counts: Counts,
): CapturedDatagram | CaptureStatistics | CaptureCode | undefined {
  if (type === INTERFACE_STATISTICS) {
    counts.otherBlocks++;
    const read = statisticsOf(bytes, section.littleEndian);
    return read === undefined ? 'bad-block' : { kind: 'statistics', seen: read };
  }
  if (type === INTERFACE_DESCRIPTION) {
    if (bytes.length < 8) return 'bad-block';
    if (section.interfaces.length === INTERFACES_MAX) return 'too-many-interfaces';
    section.interfaces.push(captureInterface(viewOf(bytes), section.littleEndian));
    return undefined;
  }
  if (type !== ENHANCED_PACKET && type !== SIMPLE_PACKET) {
    counts.otherBlocks++;
    return undefined;
  }
  const found = type === ENHANCED_PACKET ? enhancedPacket(bytes, section) : simplePacket(bytes, section);
  if (found === 'bad-block' || typeof found !== 'string') return found;
  counts.skipped[found as SkipReason]++;
  return undefined;
}

function sectionOf(head: Uint8Array): Section | CaptureCode {
  const magic = viewOf(head).getUint32(8, true);
  if (magic === BYTE_ORDER_MAGIC) return { littleEndian: true, interfaces: [] };
  return magic === BYTE_ORDER_MAGIC_SWAPPED ? { littleEndian: false, interfaces: [] } : 'bad-block';
}

/** True when a whole block of a likely length stands next in the stream, its two lengths equal. */
async function isBlock(stream: ByteStream, littleEndian: boolean): Promise<boolean> {
  const head = await stream.peek(8);
  if (head.length < 8) return false;
  const total = viewOf(head).getUint32(4, littleEndian);
  if (total < BLOCK_OVERHEAD || total % 4 !== 0 || total > BLOCK_BYTES_MAX) return false;
  const all = await stream.peek(total);
  return all.length === total && viewOf(all).getUint32(total - 4, littleEndian) === total;
}

/** Passes over bytes up to what may be the start of a block that we know; false at the end of the stream. */
async function scan(stream: ByteStream, littleEndian: boolean): Promise<boolean> {
  let at = 4;
  for (;;) {
    const window = await stream.peek(SCAN_BYTES);
    const view = viewOf(window);
    for (; at + 8 <= window.length; at += 4) {
      const total = view.getUint32(at + 4, littleEndian);
      const isLikely = total >= BLOCK_OVERHEAD && total % 4 === 0 && total <= BLOCK_BYTES_MAX;
      if (!isLikely || !KNOWN_BLOCKS.includes(view.getUint32(at, littleEndian))) continue;
      stream.takeNow(at);
      return true;
    }
    if (window.length < SCAN_BYTES) {
      stream.takeNow(window.length);
      return false;
    }
    stream.takeNow(at);
    at = 0;
  }
}

/**
 * Reads a damaged capture of ours as far as it can be read: behind each fault it looks for the next block. What is found by
 * mistake does no harm: nothing counts but datagrams whose tag holds.
 */
export async function* salvagePcapng(
  stream: ByteStream,
  counts: Counts,
): AsyncGenerator<CapturedDatagram | CaptureStatistics | CaptureFault, void, undefined> {
  let section: Section = { littleEndian: true, interfaces: [], fallback: OURS };
  let lost = false;
  for (;;) {
    const offset = stream.offset;
    const head = await stream.peek(SECTION_PEEK_BYTES);
    if (head.length === 0) return;
    const type = head.length < 4 ? 0 : viewOf(head).getUint32(0, section.littleEndian);
    const opened = type === SECTION_HEADER && head.length === SECTION_PEEK_BYTES ? sectionOf(head) : section;
    if (typeof opened === 'string' || !(await isBlock(stream, opened.littleEndian))) {
      if (!lost) yield fault(head.length < SECTION_PEEK_BYTES ? 'truncated' : 'bad-block', offset);
      lost = true;
      if (!(await scan(stream, section.littleEndian))) return;
      continue;
    }
    lost = false;
    section = { ...opened, fallback: OURS };
    const bytes = await body(stream, type, section.littleEndian);
    if (typeof bytes === 'string' || type === SECTION_HEADER) continue;
    const found = item(type, bytes, section, counts);
    if (typeof found === 'string') yield fault(found, offset);
    else if (found !== undefined) {
      if (found.kind === 'datagram') counts.datagrams++;
      yield found;
    }
  }
}

/** Reads a pcapng capture to its end or its first fault. */
export async function* readPcapng(
  stream: ByteStream,
  counts: Counts,
): AsyncGenerator<CapturedDatagram | CaptureStatistics | CaptureFault, void, undefined> {
  let section: Section | undefined;
  for (;;) {
    const offset = stream.offset;
    const head = await stream.peek(SECTION_PEEK_BYTES);
    if (head.length === 0) return;
    if (head.length < SECTION_PEEK_BYTES) return yield fault('truncated', offset);
    const isSection = viewOf(head).getUint32(0, true) === SECTION_HEADER;
    if (isSection) {
      const opened = sectionOf(head);
      if (typeof opened === 'string') return yield fault(opened, offset);
      section = opened;
    }
    if (section === undefined) return yield fault('not-a-capture', offset);
    const type = viewOf(head).getUint32(0, section.littleEndian);
    const bytes = await body(stream, type, section.littleEndian);
    if (bytes === 'skipped') {
      counts.skipped.oversized++;
      continue;
    }
    if (typeof bytes === 'string') return yield fault(bytes, offset);
    if (isSection) {
      if (viewOf(bytes).getUint16(4, section.littleEndian) !== VERSION_MAJOR) return yield fault('bad-version', offset);
      continue;
    }
    const found = item(type, bytes, section, counts);
    if (typeof found === 'string') return yield fault(found, offset);
    if (found === undefined) continue;
    if (found.kind === 'datagram') counts.datagrams++;
    yield found;
  }
}
