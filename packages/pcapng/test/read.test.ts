import { describe, expect, it } from 'vitest';
import { CaptureBlocks, ChunkLog, type CaptureItem, readChunkLog } from '@sluice/pcapng';
import { MemoryStorage, OPTIONS, TestClock, datagrams, pieces, random } from './samples.ts';

const PAYLOAD = 'cafe01';
const UDP_HEX = `0fa0 0fa1 000b 0000 ${PAYLOAD}`;
const IPV4 = `4500001f 00000000 40110000 c0000201 c0000202 ${UDP_HEX}`;
const IPV6 = `60000000 000b1140 ${'00'.repeat(32)} ${UDP_HEX}`;
const MACS = '020000000001 020000000002';

const bytesOf = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(/\s/g, ''));

/** Hand-made captures: numbers in either byte order. */
class Maker {
  readonly little: boolean;
  constructor(little: boolean) {
    this.little = little;
  }
  number(value: number | bigint, size: 2 | 4 | 8): string {
    const view = new DataView(new ArrayBuffer(size));
    if (size === 2) view.setUint16(0, Number(value), this.little);
    else if (size === 4) view.setUint32(0, Number(value), this.little);
    else view.setBigUint64(0, BigInt(value), this.little);
    return new Uint8Array(view.buffer).toHex();
  }
  block(type: number, body: string, total?: number): string {
    const hex = body.replaceAll(/\s/g, '');
    const even = hex + '00'.repeat((4 - ((hex.length / 2) % 4)) % 4);
    const length = this.number(total ?? even.length / 2 + 12, 4);
    return this.number(type, 4) + length + even + length;
  }
  option(code: number, value: string): string {
    const even = value + '00'.repeat((4 - ((value.length / 2) % 4)) % 4);
    return this.number(code, 2) + this.number(value.length / 2, 2) + even;
  }
  section(major = 1): string {
    return this.block(0x0a0d0d0a, this.number(0x1a2b3c4d, 4) + this.number(major, 2) + '0000' + 'ff'.repeat(8));
  }
  interface(linkType: number, options = '', snap = 0): string {
    return this.block(1, this.number(linkType, 2) + '0000' + this.number(snap, 4) + options);
  }
  packet(id: number, units: bigint, frame: string, options = '', captured?: number): string {
    const hex = frame.replaceAll(/\s/g, '');
    const data = hex + '00'.repeat((4 - ((hex.length / 2) % 4)) % 4);
    const size = this.number(captured ?? hex.length / 2, 4);
    return this.block(
      6,
      this.number(id, 4) +
        this.number(units >> 32n, 4) +
        this.number(units & 0xffffffffn, 4) +
        size +
        size +
        data +
        options,
    );
  }
  pcap(magic: number, linkType: number, records: readonly [number, number, string][]): string {
    const head =
      this.number(magic, 4) +
      this.number(2, 2) +
      this.number(4, 2) +
      '00'.repeat(8) +
      this.number(65535, 4) +
      this.number(linkType, 4);
    const body = records.map(([seconds, fraction, frame]) => {
      const hex = frame.replaceAll(/\s/g, '');
      const size = this.number(hex.length / 2, 4);
      return this.number(seconds, 4) + this.number(fraction, 4) + size + size + hex;
    });
    return head + body.join('');
  }
}

async function read(bytes: Uint8Array, size?: number): Promise<CaptureItem[]> {
  const items: CaptureItem[] = [];
  for await (const item of readChunkLog(pieces(bytes, size))) items.push(item);
  return items;
}

/** In short: `hex@ns` or `fault:CODE@offset`, or the skip reasons at the end. */
async function summary(hex: string): Promise<string[]> {
  const items = await read(bytesOf(hex));
  return items.flatMap((item) => {
    if (item.kind === 'datagram') return [`${item.udp.payload.toHex()}@${item.timestampNs}`];
    if (item.kind === 'fault') return [`fault:${item.code}@${item.offset}`];
    if (item.kind === 'statistics') return [];
    return Object.entries(item.counts.skipped)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => `${reason}:${count}`);
  });
}

const little = new Maker(true);
const big = new Maker(false);

describe.each([
  ['little-endian', little],
  ['big-endian', big],
])('pcapng, %s', (_, make) => {
  const nanoseconds = make.option(9, '09') + make.option(0, '');

  it('reads packets of several interfaces with their own time units', async () => {
    const hex =
      make.section() +
      make.interface(101, nanoseconds) +
      make.interface(101) +
      make.interface(101, make.option(9, '8a') + make.option(14, make.number(100n, 8)) + make.option(0, '')) +
      make.interface(101, make.option(9, '0c') + make.option(0, '')) +
      make.packet(0, 1_790_000_000_123_456_789n, IPV4) +
      make.packet(1, 1_790_000_000_123_456n, IPV4) +
      make.packet(2, 1536n, IPV4) +
      make.packet(3, 5_999n, IPV4);
    expect(await summary(hex)).toEqual([
      `${PAYLOAD}@1790000000123456789`,
      `${PAYLOAD}@1790000000123456000`,
      `${PAYLOAD}@101500000000`,
      `${PAYLOAD}@5`,
    ]);
  });

  it('reads comments, simple packets, and passes over other blocks', async () => {
    const comment = make.option(1, new TextEncoder().encode('bad-tag').toHex()) + make.option(0, '');
    const hex =
      make.section() +
      make.interface(101, nanoseconds) +
      make.block(4, '00000000') +
      make.block(5, '00'.repeat(12)) +
      make.block(0xbad, 'ffffffff') +
      make.packet(0, 7n, IPV4, comment) +
      make.block(3, make.number(31, 4) + IPV4);
    const items = await read(bytesOf(hex));
    expect(items).toMatchObject([
      {
        kind: 'datagram',
        timestampNs: 7n,
        comment: 'bad-tag',
        udp: { srcPort: 4000, dstPort: 4001, originalLength: 3 },
      },
      { kind: 'datagram', timestampNs: 0n, comment: undefined, udp: { originalLength: 3 } },
      { kind: 'end', counts: { datagrams: 2, otherBlocks: 3 } },
    ]);
  });

  it('starts afresh at each section, also of the other byte order', async () => {
    const other = make === little ? big : little;
    const hex =
      make.section() +
      make.interface(101) +
      other.section() +
      other.packet(0, 1n, IPV4) +
      other.interface(228) +
      other.packet(0, 1n, IPV4);
    expect(await summary(hex)).toEqual([`${PAYLOAD}@1000`, 'no-interface:1']);
  });

  it.each([
    ['a length that is no multiple of 4', make.block(5, '00000000', 17), 'bad-block'],
    ['a length below the least', make.block(5, '', 8), 'bad-block'],
    ['two lengths that differ', make.block(5, '00000000').slice(0, -8) + make.number(20, 4), 'bad-block'],
    ['more captured bytes than the block holds', make.packet(0, 1n, IPV4, '', 900), 'bad-block'],
    ['a block cut short', make.block(5, '00'.repeat(12)).slice(0, 20), 'truncated'],
    ['a huge block cut short', make.number(5, 4) + make.number(0xfffffff0, 4) + '00000000', 'truncated'],
    ['a section of version 2', make.section(2), 'bad-version'],
    ['a section without byte order', make.section().replace(make.number(0x1a2b3c4d, 4), '00000000'), 'bad-block'],
    ['a short interface', make.block(1, '00000000'), 'bad-block'],
    ['a short packet', make.block(6, '00000000'), 'bad-block'],
  ])('stops with code and offset at %s', async (_name, bad, code) => {
    const good = make.section() + make.interface(101) + make.packet(0, 1n, IPV4);
    expect(await summary(good + bad)).toEqual([`${PAYLOAD}@1000`, `fault:${code}@${bytesOf(good).length}`]);
  });

  it('bounds interfaces', async () => {
    const hex = make.section() + make.interface(101).repeat(1025);
    expect((await summary(hex))[0]).toMatch(/^fault:too-many-interfaces@/);
  });

  it('passes over a block too long to hold', async () => {
    const long = make.block(6, '00'.repeat(2 * 1024 * 1024));
    const hex = make.section() + make.interface(101) + long + make.packet(0, 1n, IPV4);
    expect(await summary(hex)).toEqual([`${PAYLOAD}@1000`, 'oversized:1']);
  });
});

describe('pcap', () => {
  it.each([
    ['little-endian, microseconds', little, 0xa1b2c3d4, 5_000_007_000n],
    ['big-endian, microseconds', big, 0xa1b2c3d4, 5_000_007_000n],
    ['little-endian, nanoseconds', little, 0xa1b23c4d, 5_000_000_007n],
    ['big-endian, nanoseconds', big, 0xa1b23c4d, 5_000_000_007n],
  ])('%s', async (_, make, magic, ns) => {
    const hex = make.pcap(magic, 101, [
      [5, 7, IPV4],
      [5, 7, 'ff'],
      [5, 7, IPV4],
    ]);
    expect(await summary(hex)).toEqual([`${PAYLOAD}@${ns}`, `${PAYLOAD}@${ns}`, 'not-ip:1']);
    expect(await summary(hex.slice(0, -2))).toEqual([
      `${PAYLOAD}@${ns}`,
      `fault:truncated@${24 + 47 + 17}`,
      'not-ip:1',
    ]);
    const header = hex.slice(0, 48);
    expect(await summary(header.slice(0, 40))).toEqual(['fault:truncated@0']);
    expect(await summary(header + '00'.repeat(8) + make.number(0x7fffffff, 4) + '00000000')).toEqual([
      'fault:truncated@24',
      'oversized:1',
    ]);
  });

  it('has nothing to say about other files', async () => {
    expect(await summary('')).toEqual(['fault:truncated@0']);
    expect(await summary('1f8b0800 00000000')).toEqual(['fault:not-a-capture@0']);
  });
});

describe('frames', () => {
  const sll = (type: string): string => `0000 0001 0006 020000000001 0000 ${type}`;
  it.each([
    ['raw IPv4', 101, IPV4, PAYLOAD],
    ['raw IPv6', 101, IPV6, PAYLOAD],
    ['IPv4', 228, IPV4, PAYLOAD],
    ['IPv6', 229, IPV6, PAYLOAD],
    ['Ethernet with padding', 1, `${MACS} 0800 ${IPV4} ${'00'.repeat(15)}`, PAYLOAD],
    ['Ethernet, IPv6', 1, `${MACS} 86dd ${IPV6}`, PAYLOAD],
    ['Ethernet, VLAN', 1, `${MACS} 8100 0005 0800 ${IPV4}`, PAYLOAD],
    ['Ethernet, two VLANs', 1, `${MACS} 88a8 0005 8100 0006 86dd ${IPV6}`, PAYLOAD],
    ['Ethernet, five VLANs', 1, `${MACS} ${'8100 0005'.repeat(5)} 0800 ${IPV4}`, 'not-ip'],
    ['Ethernet, ARP', 1, `${MACS} 0806 00010800`, 'not-ip'],
    ['Ethernet cut', 1, MACS, 'cut-headers'],
    ['Linux cooked', 113, sll('0800') + IPV4, PAYLOAD],
    ['Linux cooked cut', 113, '0000 0001', 'cut-headers'],
    ['Linux cooked 2', 276, `0800 0000 00000002 0001 00 06 0200000000010000 ${IPV4}`, PAYLOAD],
    ['another link type', 127, IPV4, 'link-type'],
    ['nothing', 101, '', 'cut-headers'],
    ['IPv4 with options', 101, `46000023 00000000 40110000 c0000201 c0000202 01010101 ${UDP_HEX}`, PAYLOAD],
    ['IPv4 fragment', 101, IPV4.replace('00000000', '00002000'), 'fragment'],
    ['IPv4 last fragment', 101, IPV4.replace('00000000', '00000010'), 'fragment'],
    ['IPv4 do not fragment', 101, IPV4.replace('00000000', '00004000'), PAYLOAD],
    ['TCP', 101, IPV4.replace('40110000', '40060000'), 'not-udp'],
    ['IPv4 header of 4 words', 101, IPV4.replace('4500', '4400'), 'bad-ip'],
    ['IPv4 total below its header', 101, IPV4.replace('001f', '0010'), 'bad-ip'],
    ['UDP length beyond IP', 101, IPV4.replace('000b', '000c'), 'bad-udp'],
    ['UDP length below its header', 101, IPV4.replace('000b', '0007'), 'bad-udp'],
    ['UDP empty', 101, IPV4.replace('000b', '0008'), ''],
    ['cut in the payload', 101, IPV4.replace('cafe01', 'ca'), 'ca'],
    ['cut in UDP', 101, IPV4.replace(`0000 ${PAYLOAD}`, ''), 'cut-headers'],
    ['IPv6, hop-by-hop', 101, `60000000 00130040 ${'00'.repeat(32)} 1100000000000000 ${UDP_HEX}`, PAYLOAD],
    [
      'IPv6, nine extensions',
      101,
      `60000000 00530040 ${'00'.repeat(32)} ${'0000000000000000'.repeat(9)} ${UDP_HEX}`,
      'bad-ip',
    ],
    ['IPv6, fragment', 101, `60000000 00132c40 ${'00'.repeat(32)} 1100000000000000 ${UDP_HEX}`, 'fragment'],
    [
      'IPv6, extension beyond its length',
      101,
      `60000000 00040040 ${'00'.repeat(32)} 11ff000000000000 ${UDP_HEX}`,
      'bad-ip',
    ],
  ])('%s', async (_, linkType, frame, expected) => {
    const [first] = await summary(little.section() + little.interface(linkType) + little.packet(0, 0n, frame));
    expect(first).toBe(/^[0-9a-f]*$/.test(expected) ? `${expected}@0` : `${expected}:1`);
  });
});

describe('damaged captures', () => {
  async function ownLog(): Promise<Uint8Array> {
    const storage = new MemoryStorage();
    const log = new ChunkLog({ ...OPTIONS, mode: 'headers' }, storage, new TestClock());
    log.append(datagrams(12), ['accepted', 'bad-tag'], 1_790_000_000_000_000_000n);
    await log.close();
    return [...storage.files.values()][0] ?? new Uint8Array(0);
  }

  it('give the datagrams before the cut, at every length and in pieces of any size', async () => {
    const whole = await ownLog();
    for (let length = 0; length < whole.length; length += 3) {
      const items = await read(whole.subarray(0, length), 1 + (length % 97));
      const faults = items.filter((item) => item.kind === 'fault');
      expect(faults.length <= 1 && items.at(-1)?.kind === 'end').toBe(true);
    }
    expect((await read(whole, 7)).length).toBe(13);
  });

  it('never throw when mutated', async () => {
    const next = random(9);
    const sources = [
      await ownLog(),
      bytesOf(
        big.pcap(
          0xa1b23c4d,
          1,
          Array.from({ length: 9 }, (_, i) => [i, i, `${MACS} 0800 ${IPV4}`]),
        ),
      ),
    ];
    let faults = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = (sources[round % 2] ?? new Uint8Array(0)).slice();
      for (let changes = 1 + (next() % 4); changes > 0; changes--)
        bytes[next() % bytes.length] = next() % 3 === 0 ? 255 : next();
      const items = await read(bytes, 1 + (next() % 500));
      expect(items.at(-1)?.kind).toBe('end');
      faults += items.filter((item) => item.kind === 'fault').length;
    }
    expect(faults).toBeGreaterThan(200);
  });

  it('are reported file by file, and a missing file is an operational error', async () => {
    await expect(readChunkLog(['/nonexistent/log.pcapng']).next()).rejects.toMatchObject({
      code: 'capture-read',
      retryable: false,
    });
  });
});

describe('a damaged capture of ours, salvaged', () => {
  const ENDS = {
    name: 'media',
    sourceAddress: '192.0.2.1',
    sourcePort: 1,
    destinationAddress: '192.0.2.2',
    destinationPort: 2,
  };
  const blocks = new CaptureBlocks(ENDS);
  const COUNT = 200;
  const SIZE = CaptureBlocks.packetBytes(1000);
  const head = blocks.head({ application: 'test' });
  const capture = (): Uint8Array => {
    const packets = Array.from({ length: COUNT }, (_, i) => blocks.packet(new Uint8Array(1000).fill(i), BigInt(i)));
    return Uint8Array.from([head, ...packets].flatMap((piece) => [...piece]));
  };
  const packet = (index: number): number => head.length + index * SIZE;
  async function salvaged(bytes: Uint8Array): Promise<{ readonly firsts: number[]; readonly faults: number[] }> {
    const [firsts, faults]: [number[], number[]] = [[], []];
    for await (const item of readChunkLog(pieces(bytes, 777), { salvage: true })) {
      if (item.kind === 'datagram') firsts.push(item.udp.payload[0] ?? -1);
      if (item.kind === 'fault') faults.push(item.offset);
    }
    return { firsts, faults };
  }
  const all = Array.from({ length: COUNT }, (_, i) => i);

  it('is read as it is while nothing is wrong with it', async () => {
    expect(await salvaged(capture())).toEqual({ firsts: all, faults: [] });
  });

  it('loses no more than the blocks that are hit, and names each place once', async () => {
    const bytes = capture();
    bytes.fill(0, packet(20) + 500, packet(23) + 10);
    bytes.fill(0xff, packet(100), packet(100) + 8);
    // A length that is wrong alone, far beyond the end.
    new DataView(bytes.buffer).setUint32(packet(150) + 4, 0x000f_fffc, true);
    const { firsts, faults } = await salvaged(bytes);
    expect(firsts).toEqual(all.filter((i) => ![20, 21, 22, 23, 100, 150].includes(i)));
    expect(faults).toEqual([packet(20), packet(100), packet(150)]);
  });

  it('is read without its head, and to where it is cut off', async () => {
    const bytes = capture();
    bytes.fill(0, 0, head.length);
    const { firsts, faults } = await salvaged(bytes.subarray(0, packet(150) + 400));
    expect(firsts).toEqual(all.slice(0, 150));
    expect(faults).toEqual([0, packet(150)]);
  });

  it('gives nothing out of what is no capture', async () => {
    expect((await salvaged(new Uint8Array(300_000).fill(6))).firsts).toEqual([]);
    expect((await salvaged(new Uint8Array(5))).firsts).toEqual([]);
  });
});
