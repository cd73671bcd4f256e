// Classic pcap (draft-ietf-opsawg-pcap): both byte orders, microseconds and nanoseconds.
import type { ByteStream } from './byte-stream.ts';
import { type CaptureFault, type CapturedDatagram, type Counts, fault } from './capture.ts';
import { datagramOf } from './frames.ts';
import { BLOCK_BYTES_MAX } from './limits.ts';

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const VERSION_MAJOR = 2;
const NS_PER_SECOND = 1_000_000_000n;

/** First four bytes, read little-endian: byte order, and nanoseconds per unit of the fraction. */
const MAGICS: ReadonlyMap<number, { readonly littleEndian: boolean; readonly unitNs: bigint }> = new Map([
  [0xa1b2c3d4, { littleEndian: true, unitNs: 1000n }],
  [0xd4c3b2a1, { littleEndian: false, unitNs: 1000n }],
  [0xa1b23c4d, { littleEndian: true, unitNs: 1n }],
  [0x4d3cb2a1, { littleEndian: false, unitNs: 1n }],
]);

export const isPcap = (magic: number): boolean => MAGICS.has(magic);

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Reads a classic capture to its end or its first fault. */
export async function* readPcap(
  stream: ByteStream,
  counts: Counts,
): AsyncGenerator<CapturedDatagram | CaptureFault, void, undefined> {
  const header = await stream.take(FILE_HEADER_BYTES);
  if (header.length < FILE_HEADER_BYTES) return yield fault('truncated', 0);
  const view = viewOf(header);
  const format = MAGICS.get(view.getUint32(0, true));
  if (format === undefined) return yield fault('not-a-capture', 0);
  const { littleEndian, unitNs } = format;
  if (view.getUint16(4, littleEndian) !== VERSION_MAJOR) return yield fault('bad-version', 0);
  // The upper bits hold the length of a frame check sequence.
  const linkType = view.getUint32(20, littleEndian) & 0xffff;
  for (;;) {
    const offset = stream.offset;
    const head = stream.has(RECORD_HEADER_BYTES)
      ? stream.takeNow(RECORD_HEADER_BYTES)
      : await stream.take(RECORD_HEADER_BYTES);
    if (head.length === 0) return;
    if (head.length < RECORD_HEADER_BYTES) return yield fault('truncated', offset);
    const record = viewOf(head);
    const length = record.getUint32(8, littleEndian);
    if (length > BLOCK_BYTES_MAX) {
      counts.skipped.oversized++;
      if (!(await stream.skip(length))) return yield fault('truncated', offset);
      continue;
    }
    const bytes = stream.has(length) ? stream.takeNow(length) : await stream.take(length);
    if (bytes.length < length) return yield fault('truncated', offset);
    const udp = datagramOf(linkType, bytes);
    if (typeof udp === 'string') {
      counts.skipped[udp]++;
      continue;
    }
    counts.datagrams++;
    const seconds = BigInt(record.getUint32(0, littleEndian)) * NS_PER_SECOND;
    const timestampNs = seconds + BigInt(record.getUint32(4, littleEndian)) * unitNs;
    yield { kind: 'datagram', timestampNs, udp, comment: undefined, interfaceId: 0 };
  }
}
