import { describe, expect, it } from 'vitest';
import { encodeFdt } from '../../packages/alc/src/index.ts';
import { announcesBundle, PcapStream } from './capture.ts';

function pcap(
  packets: readonly { readonly seconds: number; readonly fraction: number; readonly bytes: Buffer }[],
  magic = 0xa1b2c3d4,
) {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(magic, 0);
  const records = packets.map(({ seconds, fraction, bytes }) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(seconds, 0);
    record.writeUInt32LE(fraction, 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length + 1000, 12);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([header, ...records]);
}

describe('a pcap stream', () => {
  const stream = pcap([
    { seconds: 5, fraction: 250_000, bytes: Buffer.from('first') },
    { seconds: 6, fraction: 1, bytes: Buffer.from('second') },
  ]);

  it('gives the same packets however it is cut', () => {
    for (let size = 1; size <= stream.length; size += 1) {
      const reader = new PcapStream();
      const packets = [];
      for (let at = 0; at < stream.length; at += size) packets.push(...reader.push(stream.subarray(at, at + size)));
      expect(packets.map(({ at, bytes, length }) => [at, bytes.toString(), length])).toEqual([
        [5250, 'first', 1005],
        [6000.001, 'second', 1006],
      ]);
    }
  });

  it('may count nanoseconds', () => {
    const nano = pcap([{ seconds: 1, fraction: 500_000_000, bytes: Buffer.from('x') }], 0xa1b23c4d);
    expect(new PcapStream().push(nano)[0]?.at).toBe(1500);
  });

  it('that is none is an error', () => {
    expect(() => new PcapStream().push(Buffer.alloc(24))).toThrow('not a pcap');
  });
});

describe('the first datagram of a bundle', () => {
  const frame = (contentType: string) => {
    const files = [{ toi: 9, digest: `sha256:${'0'.repeat(64)}` as const, length: 100, contentType }];
    const fdt = encodeFdt({
      expires: 4_000_000_000,
      maxBlock: 64,
      symbolBytes: 1408,
      maxSymbols: 255,
      files,
    } as Parameters<typeof encodeFdt>[0]);
    return { at: 0, length: 1500, bytes: Buffer.concat([Buffer.alloc(110), fdt]) };
  };

  it('is the FDT Instance that names a statement, a blob or a pack', () => {
    for (const type of ['application/vnd.dsse.envelope.v1+json', 'application/octet-stream', 'application/x-tar'])
      expect(announcesBundle(frame(type))).toBe(true);
  });

  it('is no heartbeat', () => {
    expect(announcesBundle(frame('application/vnd.sluice.heartbeat+json'))).toBe(false);
  });
});
