// A capture file, pcapng or classic pcap: read whole or in small pieces, the same comes of it. The first byte says how small.
import { readChunkLog } from '../../../packages/pcapng/src/read.ts';
import { COMMENT_BYTES_MAX } from '../../../packages/pcapng/src/limits.ts';
import { SKIP_REASONS } from '../../../packages/pcapng/src/frames.ts';
import { CAPTURE_CODES } from '../../../packages/pcapng/src/capture.ts';
import { Envelope } from '../../../packages/pcapng/src/envelope.ts';
import {
  commentOptions,
  interfaceDescription,
  packetBlockBytes,
  sectionHeader,
  writePacketBlock,
} from '../../../packages/pcapng/src/write-blocks.ts';
import { type FuzzTarget, check, joined, same } from '../target.ts';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Bits of the first byte: a damaged medium of ours, statistics wanted. The rest of it says how small the pieces are. */
const [SALVAGE, STATISTICS] = [64, 128];

async function itemsOf(bytes: Uint8Array, size: number, how: number) {
  const options = { salvage: (how & SALVAGE) !== 0, statistics: (how & STATISTICS) !== 0 };
  return Array.fromAsync(readChunkLog(pieces(bytes, size), options));
}

async function run(input: Uint8Array): Promise<void> {
  const bytes = input.subarray(1);
  const how = input[0] ?? 0;
  const items = await itemsOf(bytes, Math.max(1, bytes.length), how);
  same(await itemsOf(bytes, 1 + (how % 64), how), items, 'read in pieces');
  const end = items.at(-1);
  check(end?.kind === 'end', 'a capture without an end');
  const datagrams = items.filter((item) => item.kind === 'datagram');
  const faults = items.filter((item) => item.kind === 'fault');
  const statistics = items.filter((item) => item.kind === 'statistics');
  check(end.counts.datagrams === datagrams.length, 'the counts');
  check((how & SALVAGE) !== 0 || faults.length <= 1, 'something behind a fault');
  check((how & STATISTICS) !== 0 || statistics.length === 0, 'statistics that nobody wanted');
  check(items.length === datagrams.length + faults.length + statistics.length + 1, 'items of an unknown kind');
  for (const { seen } of statistics)
    check(
      Object.values(seen).every((value) => value >= 0 && (typeof value === 'bigint' || Number.isSafeInteger(value))),
      'counts',
    );
  check(end.counts.bytes <= bytes.length, 'more bytes than there are');
  const skipped = Object.entries(end.counts.skipped);
  check(skipped.length === SKIP_REASONS.length && skipped.every(([, count]) => count >= 0), 'skipped for no reason');
  for (const { code, offset } of faults) check(CAPTURE_CODES.includes(code) && offset <= bytes.length, 'a fault');
  let payloads = 0;
  for (const { udp, comment = '', timestampNs } of datagrams) {
    payloads += udp.payload.length;
    check(udp.payload.length <= udp.originalLength && udp.originalLength <= 65_535, 'the length of a datagram');
    check(udp.srcPort <= 65_535 && udp.dstPort <= 65_535 && typeof timestampNs === 'bigint', 'ports or time');
    check(comment.length <= COMMENT_BYTES_MAX, 'a comment beyond its limit');
  }
  check(payloads <= bytes.length, 'more payload than there are bytes');
}

const ENDS = {
  name: 'prod',
  sourceAddress: '192.0.2.1',
  sourcePort: 4000,
  destinationAddress: '192.0.2.2',
  destinationPort: 4001,
};

function u32(value: number, little = true): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, little);
  return bytes;
}

const padding = (bytes: Uint8Array): Uint8Array => new Uint8Array((4 - (bytes.length % 4)) % 4);

/** A block of any type, in either byte order. */
function block(type: number, body: Uint8Array, little = true): Uint8Array {
  const total = u32(12 + body.length + padding(body).length, little);
  return joined(u32(type, little), total, body, padding(body), total);
}

const interfaceOf = (linkType: number, options: Uint8Array = new Uint8Array(), little = true): Uint8Array => {
  const fixed = little ? [linkType & 255, linkType >> 8, 0, 0] : [linkType >> 8, linkType & 255, 0, 0];
  return block(1, joined(fixed, u32(200, little), options), little);
};
const packet = (frame: Uint8Array, id = 0, options: Uint8Array = new Uint8Array(), little = true): Uint8Array => {
  const fixed = [id, 0x1234, 0x5678, frame.length, frame.length].map((word) => u32(word, little));
  return block(6, joined(...fixed, frame, padding(frame), options), little);
};
const bigSection = block(0x0a0d0d0a, Uint8Array.fromHex('1a2b3c4d00010000ffffffffffffffff'), false);
const section = block(0x0a0d0d0a, Uint8Array.fromHex('4d3c2b1a01000000ffffffffffffffff'));

const udp = Uint8Array.fromHex('0fa00fa1000c0000deadbeef');
const ipv4 = joined(Uint8Array.fromHex('45000020000040004011 0000c0000201c0000202'.replace(' ', '')), udp);
const ipv6Head = (next: number, length: number): Uint8Array =>
  joined([0x60, 0, 0, 0, 0, length, next, 64], new Uint8Array(32).fill(1));
const ipv6 = joined(ipv6Head(17, 12), udp);
const extended = joined(ipv6Head(0, 28), [43, 0, 0, 0, 0, 0, 0, 0], [17, 0, 0, 0, 0, 0, 0, 0], udp);
const fragmented = joined(ipv6Head(44, 20), new Uint8Array(8), udp);
const macs = new Uint8Array(12).fill(2);

/** Frames by link type. */
const FRAMES: readonly (readonly [linkType: number, frame: Uint8Array])[] = [
  [1, joined(macs, [8, 0], ipv4)],
  [1, joined(macs, [0x81, 0, 0, 7, 0x86, 0xdd], ipv6)],
  [1, joined(macs, [0x08, 0x06], ipv4)],
  [1, macs],
  [101, ipv4],
  [101, ipv6],
  [101, new Uint8Array()],
  [101, Uint8Array.of(0x20)],
  [228, ipv4.slice(0, 12)],
  [228, ipv4.slice(0, 24)],
  [228, joined(ipv4.slice(0, 6), [0x20, 1], ipv4.slice(8))],
  [228, joined(ipv4.slice(0, 9), [6], ipv4.slice(10))],
  [228, joined([0x44], ipv4.slice(1))],
  [228, joined([0x4f], ipv4.slice(1))],
  [228, joined(ipv4.slice(0, 24), [0, 2], ipv4.slice(26))],
  [228, joined(ipv4.slice(0, 2), [0, 22], ipv4.slice(4, 22))],
  [229, extended],
  [229, fragmented],
  [229, extended.slice(0, 44)],
  [229, ipv6.slice(0, 30)],
  [229, joined([0x40], ipv6.slice(1))],
  [229, joined(ipv6Head(6, 12), udp)],
  [229, joined(ipv6Head(0, 4), [17, 0, 0, 0, 0, 0, 0, 0], udp)],
  [229, joined(ipv6Head(0, 99), ...Array.from({ length: 9 }, () => [0, 0, 0, 0, 0, 0, 0, 0]), udp)],
  [113, joined(new Uint8Array(14), [8, 0], ipv4)],
  [113, new Uint8Array(15)],
  [276, joined([8, 0], new Uint8Array(18), ipv4)],
  [276, new Uint8Array(19)],
  [9, ipv4],
];

/** A file as our own chunk log writes it. */
function ours(): Uint8Array {
  const tail = commentOptions('accepted');
  const size = packetBlockBytes(28 + udp.length, tail);
  const bytes = new Uint8Array(size);
  const into = { bytes, view: new DataView(bytes.buffer) };
  const times = { high: 100, low: 200 };
  const captured = 28 + udp.length;
  const at = writePacketBlock(into, 0, { interfaceId: 0, times, captured, original: captured, tail });
  new Envelope(ENDS).write(into, at, udp.length);
  bytes.set(udp, at + 28);
  return joined(
    sectionHeader({ application: 'a', os: 'b', comment: 'c' }),
    interfaceDescription('prod', 'note', 65_535),
    bytes,
  );
}

const option = (code: number, value: Uint8Array | readonly number[], little = true): Uint8Array => {
  const word = little
    ? [code, 0, value.length & 255, value.length >> 8]
    : [0, code, value.length >> 8, value.length & 255];
  return joined(word, value, padding(joined(value)));
};

function* captures(): Generator<Uint8Array> {
  yield ours();
  for (const [linkType, frame] of FRAMES) yield joined(section, interfaceOf(linkType), packet(frame));
  const times = (...options: Uint8Array[]): Uint8Array => interfaceOf(101, joined(...options));
  yield joined(section, times(option(9, [9]), option(14, [1, 0, 0, 0, 0, 0, 0, 0]), option(0, [])), packet(ipv4));
  yield joined(section, times(option(9, [0x8a])), times(option(9, [40])), packet(ipv4), packet(ipv4, 1));
  yield joined(section, interfaceOf(101), packet(ipv4, 0, option(1, new Uint8Array(300).fill(0xc3))), packet(ipv4, 7));
  yield joined(
    bigSection,
    interfaceOf(101, option(9, [9], false), false),
    packet(ipv4, 0, option(1, [65], false), false),
  );
  yield joined(
    section,
    interfaceOf(101),
    block(3, joined(u32(ipv4.length), ipv4)),
    block(5, u32(0)),
    block(3, new Uint8Array()),
  );
  yield joined(section, block(3, u32(9)), block(1, u32(0)));
  yield joined(section, block(6, u32(0)), section);
  yield joined(
    section,
    interfaceOf(101),
    packet(ipv4).map((byte, i) => (i === 20 ? 0xff : byte)),
  );
  yield joined(block(0x0a0d0d0a, Uint8Array.fromHex('4d3c2b1a02000000ffffffffffffffff')));
  yield joined(block(0x0a0d0d0a, Uint8Array.fromHex('4d3c2b1b01000000ffffffffffffffff')));
  yield joined(section, u32(6), u32(13), new Uint8Array(20));
  yield joined(section, u32(6), u32(0x200000), new Uint8Array(20));
  yield joined(section, u32(6), u32(64), new Uint8Array(20));
  yield joined(section, u32(6), u32(20), new Uint8Array(12));
  yield joined(section, u32(6));
  yield u32(0x12345678);
  yield Uint8Array.of(1);
  for (const magic of ['d4c3b2a1', 'a1b2c3d4', '4d3cb2a1', 'a1b23c4d']) {
    const little = magic.startsWith('d4') || magic.startsWith('4d');
    const words = (...values: number[]): Uint8Array => joined(...values.map((value) => u32(value, little)));
    const version = little ? [2, 0, 4, 0] : [0, 2, 0, 4];
    const head = joined(Uint8Array.fromHex(magic), version, words(0, 0, 65_535, 101));
    const record = joined(words(1, 2, ipv4.length, ipv4.length), ipv4);
    yield joined(head, record, record);
    if (!little) continue;
    yield head.slice(0, 20);
    yield joined(head, words(1, 2, 9, 9), new Uint8Array(9));
    yield joined(head, words(1, 2, 99, 99), new Uint8Array(9));
    yield joined(head, words(1, 2, 2 ** 21, 9));
    yield joined(head, words(1));
    yield joined(head.slice(0, 4), [3], head.slice(5));
  }
}

/** Interface Statistics Blocks: as we write them, with a counter beyond all numbers, cut short. */
function* told(): Generator<Uint8Array> {
  const eight = (value: number): number[] => [value, 0, 0, 0, value, 0, 0, 0];
  const counters = [2, 3, 4, 5, 7, 8].map((code) => option(code, eight(code)));
  const body = (...options: readonly Uint8Array[]): Uint8Array =>
    joined(u32(0), u32(1), u32(2), ...options, option(0, []));
  yield joined(section, interfaceOf(101), block(5, body(...counters)), packet(ipv4));
  yield joined(
    section,
    interfaceOf(101),
    block(5, body(option(4, new Uint8Array(8).fill(255)), option(5, [1, 2, 3, 4]))),
  );
}

/** What is left of a file of ours: a block with a hole in it, the beginning gone, the end too, nothing but zeros. */
function* damaged(): Generator<Uint8Array> {
  const whole = joined(ours(), packet(ipv4), packet(ipv4));
  yield whole;
  for (const from of [9, 60, 130]) yield whole.map((byte, i) => (i >= from && i < from + 24 ? 0 : byte));
  yield whole.slice(40);
  yield whole.slice(0, -7);
  yield new Uint8Array(600);
  yield joined(section, interfaceOf(101), new Uint8Array(400), section, interfaceOf(101), packet(ipv4));
  yield joined(section, interfaceOf(101), u32(6), u32(0x200000), new Uint8Array(20), packet(ipv4));
  yield joined(
    bigSection,
    new Uint8Array(40),
    interfaceOf(101, option(9, [9], false), false),
    packet(ipv4, 0, option(0, [], false), false),
  );
}

function* seeds(): Generator<Uint8Array> {
  for (const capture of captures()) yield joined([15], capture);
  for (const capture of told()) for (const how of [15, 15 + STATISTICS]) yield joined([how], capture);
  for (const capture of damaged()) yield joined([15 + SALVAGE], capture);
  yield joined([0], section, ...Array.from({ length: 3 }, () => interfaceOf(101)), packet(ipv4, 2));
}

export const target: FuzzTarget = {
  about: 'a capture in pcapng or pcap: the same in pieces of any size, and nothing beyond its limits',
  files: ['read', 'read-pcapng', 'read-pcap', 'section', 'frames', 'byte-stream', 'capture'].map(
    (name) => `packages/pcapng/src/${name}.ts`,
  ),
  beside: ['bytesOf', 'unpacker', 'unreadable', 'salvagedBytes'],
  bytesMax: 1024,
  waits: true,
  run,
  seeds,
};
