import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ChunkLog,
  type CaptureItem,
  type ChunkLogOptions,
  directoryStorage,
  logNumber,
  readChunkLog,
} from '@sluice/pcapng';
import { DATAGRAM_BYTES, MemoryStorage, OPTIONS, TestClock, datagramAt, datagrams, pieces } from './samples.ts';

const NS = 1_790_000_000_123_456_789n;
const UNJUDGED = [] as const;

function world(options: Partial<ChunkLogOptions> = {}): { log: ChunkLog; storage: MemoryStorage; clock: TestClock } {
  const [storage, clock] = [new MemoryStorage(), new TestClock()];
  return { log: new ChunkLog({ ...OPTIONS, ...options }, storage, clock), storage, clock };
}

async function itemsOf(storage: MemoryStorage): Promise<CaptureItem[]> {
  const items: CaptureItem[] = [];
  for (const bytes of storage.files.values()) for await (const item of readChunkLog(pieces(bytes))) items.push(item);
  return items;
}

const found = (items: readonly CaptureItem[]): (CaptureItem & { kind: 'datagram' })[] =>
  items.filter((item) => item.kind === 'datagram');

/** The counters of the Interface Statistics Blocks at the end of a file of two interfaces. */
function statistics(file: Uint8Array): Record<string, bigint>[] {
  const blockBytes = 100;
  return [file.length - 2 * blockBytes, file.length - blockBytes].map((start) => {
    const view = new DataView(file.buffer, file.byteOffset + start, blockBytes);
    expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([5, blockBytes]);
    // Behind the block's head (20 bytes) and two times (12 each): four counters of 4 + 8 bytes.
    const counter = (index: number): bigint => view.getBigUint64(20 + 24 + index * 12 + 4, true);
    return { received: counter(0), droppedByLog: counter(1), droppedByKernel: counter(2), written: counter(3) };
  });
}

describe('chunk log', () => {
  it('gives back every datagram whole, with time, verdict, ports and interface', async () => {
    const { log, storage } = world();
    const batch = datagrams(300);
    log.append(
      batch,
      batch.offsets.length > 0 ? Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 'bad-tag' : 'accepted')) : [],
      NS,
      1,
    );
    await log.close();
    const items = await itemsOf(storage);
    const read = found(items);
    expect(read.length).toBe(300);
    for (const [index, { udp, comment, timestampNs, interfaceId }] of read.entries()) {
      expect(udp.payload).toEqual(datagramAt(batch, index));
      expect([comment, timestampNs, interfaceId]).toEqual([index % 3 === 0 ? 'bad-tag' : 'accepted', NS, 1]);
      expect([udp.srcPort, udp.dstPort, udp.originalLength]).toEqual([40001, 4002, DATAGRAM_BYTES]);
    }
    expect(items.at(-1)).toMatchObject({ kind: 'end', counts: { datagrams: 300, otherBlocks: 2 } });
    expect(log.state()).toMatchObject({ state: 'ok', written: 300, dropped: 0, failures: 0 });
    expect(storage.open).toBe(0);
  });

  it('keeps headers only, and the length that was', async () => {
    const { log, storage } = world({ mode: 'headers' });
    const batch = datagrams(16);
    const odd = { ...batch, lengths: Array.from(batch.lengths), count: 16 };
    odd.lengths[3] = 5;
    odd.lengths[4] = 0;
    log.append(odd, UNJUDGED, NS);
    await log.close();
    const read = found(await itemsOf(storage));
    expect(read.map(({ udp }) => udp.payload.length)).toEqual([
      68, 44, 44, 5, 0, 44, 44, 44, 68, 44, 44, 44, 44, 44, 44, 44,
    ]);
    expect(read.map(({ udp }) => udp.originalLength)).toEqual(odd.lengths);
    expect(read.map(({ comment }) => comment)).toEqual(read.map(() => undefined));
    expect(read[8]?.udp.payload).toEqual(datagramAt(batch, 8).subarray(0, 68));
  });

  it('pads datagrams of any length with zeros, also where memory is used again', async () => {
    const { log, storage } = world();
    for (let round = 0; round < 2; round++) {
      const bytes = new Uint8Array(20_000).fill(0xee);
      const lengths = Array.from({ length: 100 }, (_, i) => 100 + i);
      const offsets = lengths.map((_, i) => i * 200);
      log.append(
        { bytes, offsets, lengths, count: 100 },
        Array.from({ length: 100 }, () => 'too-short'),
        NS,
      );
      await log.flush();
      // Fills the memory with other bytes before the second round.
      log.append(datagrams(50), UNJUDGED, NS);
      await log.flush();
    }
    await log.close();
    const read = found(await itemsOf(storage)).filter(({ comment }) => comment === 'too-short');
    expect(read.map(({ udp }) => udp.payload.length)).toEqual([...read.keys()].map((i) => 100 + (i % 100)));
    const padding = read.map(({ udp: { payload } }) => {
      const end = payload.byteOffset + payload.length;
      return new Uint8Array(payload.buffer, end, (4 - (payload.length % 4)) % 4).every((byte) => byte === 0);
    });
    expect([padding.every(Boolean), padding.length]).toEqual([true, 200]);
  });

  it('writes nothing when it is off', async () => {
    const { log, storage } = world({ mode: 'off' });
    log.append(datagrams(5), UNJUDGED, NS);
    await log.close();
    expect(storage.files.size).toBe(0);
  });

  it('rotates by size: no file is longer than asked, none is lost or split', async () => {
    const { log, storage } = world();
    for (let round = 0; round < 20; round++) {
      log.append(datagrams(300, round * 300), UNJUDGED, NS + BigInt(round));
      await log.flush();
    }
    await log.close();
    expect(storage.files.size).toBeGreaterThan(5);
    for (const [name, bytes] of storage.files) {
      expect(bytes.length).toBeLessThanOrEqual(OPTIONS.fileBytes);
      expect(name).toMatch(/^chunks-\d{8}T\d{6}Z-\d{6}\.pcapng$/);
    }
    expect([...storage.files.keys()].map(logNumber)).toEqual(
      Array.from({ length: storage.files.size }, (_, i) => i + 1),
    );
    const items = await itemsOf(storage);
    expect(items.filter((item) => item.kind === 'fault')).toEqual([]);
    expect(found(items).length).toBe(6000);
  });

  it('rotates by age, also when nothing comes any more', async () => {
    const { log, storage, clock } = world();
    log.append(datagrams(3), UNJUDGED, NS);
    await log.flush();
    clock.ms += OPTIONS.fileAgeMs;
    await log.flush();
    expect([storage.open, log.state().file]).toEqual([0, undefined]);
    log.append(datagrams(3), UNJUDGED, NS);
    await log.close();
    expect([...storage.files.keys()]).toEqual([
      'chunks-20260921T141320Z-000001.pcapng',
      'chunks-20260921T141420Z-000002.pcapng',
    ]);
  });

  it('keeps all files within the budget, the oldest go first, other files stay', async () => {
    const { log, storage, clock } = world({ totalBytes: 3 * 1024 * 1024 });
    storage.files.set('chunks-20990101T000000Z-000041.pcapng', new Uint8Array(500_000));
    storage.files.set('other.pcapng', new Uint8Array(10_000_000));
    for (let round = 0; round < 30; round++) {
      log.append(datagrams(300), UNJUDGED, NS);
      await log.flush();
      clock.ms -= 86_400_000;
      const sizes = [...storage.files].filter(([name]) => name !== 'other.pcapng').map(([, bytes]) => bytes.length);
      expect(sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(3 * 1024 * 1024);
    }
    await log.close();
    const numbers = [...storage.files.keys()].map(logNumber).filter((number) => number !== undefined);
    expect(numbers.length).toBe(3);
    expect(Math.min(...numbers)).toBeGreaterThan(42);
    expect(storage.files.has('other.pcapng')).toBe(true);
  });

  it('leaves out what does not fit the buffer, counts it, and says so in the file', async () => {
    let kernel = 3;
    const { log, storage } = world({
      bufferBytes: 1024 * 1024,
      fileBytes: 4 * 1024 * 1024,
      kernelDrops: (id) => id * kernel,
    });
    log.append(datagrams(2000), UNJUDGED, NS);
    kernel = 14;
    const { dropped, bufferedBytes } = log.state();
    expect(dropped).toBeGreaterThan(1000);
    expect(bufferedBytes).toBeLessThanOrEqual(1024 * 1024);
    await log.flush();
    log.append(datagrams(10), UNJUDGED, NS);
    await log.close();
    expect(log.state()).toMatchObject({ written: 2010 - dropped, dropped });
    expect(found(await itemsOf(storage)).length).toBe(2010 - dropped);
    const file = [...storage.files.values()][0] ?? new Uint8Array(0);
    expect(statistics(file)).toEqual([
      { received: 2010n, droppedByLog: BigInt(dropped), droppedByKernel: 0n, written: BigInt(2010 - dropped) },
      { received: 0n, droppedByLog: 0n, droppedByKernel: 11n, written: 0n },
    ]);
  });

  it.each(['ENOSPC', 'EIO'])('outlives %s: counted, seen, tried again, whole blocks left behind', async (code) => {
    const { log, storage, clock } = world();
    log.append(datagrams(10), UNJUDGED, NS);
    await log.flush();
    [storage.failure, storage.torn] = [code, 700];
    log.append(datagrams(10, 10), UNJUDGED, NS);
    await log.flush();
    expect(log.state()).toMatchObject({ state: 'failing', failure: code, failures: 1, written: 10 });
    await log.flush();
    expect(log.state().failures).toBe(1);
    clock.ms += OPTIONS.retryMs;
    await log.flush();
    expect(log.state().failures).toBe(2);
    storage.failure = undefined;
    clock.ms += OPTIONS.retryMs;
    await log.flush();
    expect(log.state()).toMatchObject({ state: 'ok', failure: undefined, written: 20, dropped: 0 });
    await log.close();
    const items = await itemsOf(storage);
    expect(found(items).length).toBe(20);
    expect(items.filter((item) => item.kind === 'fault')).toEqual([]);
    expect(storage.open).toBe(0);
  });

  it('counts as dropped what cannot be written at the end', async () => {
    const { log, storage } = world();
    storage.failure = 'ENOSPC';
    log.append(datagrams(10), UNJUDGED, NS);
    await log.close();
    expect(log.state()).toMatchObject({ state: 'failing', written: 0, dropped: 10 });
  });

  it('cuts off datagrams no longer than UDP allows', async () => {
    const { log, storage } = world({ fileBytes: 2 * 1024 * 1024 });
    const bytes = new Uint8Array(65_507 * 8).fill(7);
    const offsets = Array.from({ length: 8 }, (_, i) => i * 65_507);
    log.append({ bytes, offsets, lengths: offsets.map(() => 65_507), count: 8 }, UNJUDGED, NS);
    await log.close();
    const read = found(await itemsOf(storage));
    expect(read.map(({ udp }) => udp.payload.length)).toEqual(offsets.map(() => 65_507));
  });

  it('writes to a real directory and goes on with the numbers it finds there', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-chunk-log-'));
    try {
      for (let run = 0; run < 2; run++) {
        const log = new ChunkLog(OPTIONS, directoryStorage(directory), new TestClock());
        log.append(datagrams(400, run * 400), UNJUDGED, NS);
        await log.close();
      }
      const names = readdirSync(directory).sort();
      expect(names.map(logNumber)).toEqual([1, 2]);
      expect(statSync(join(directory, names[0] ?? '')).mode & 0o777 & ~0o640).toBe(0);
      const kinds: string[] = [];
      for await (const item of readChunkLog(names.map((name) => join(directory, name)))) kinds.push(item.kind);
      expect(kinds.filter((kind) => kind === 'datagram').length).toBe(800);
      expect(kinds.filter((kind) => kind !== 'datagram')).toEqual(['end', 'end']);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('fails in the open, not in silence, when its directory is missing', async () => {
    const log = new ChunkLog(OPTIONS, directoryStorage('/nonexistent/sluice'), new TestClock());
    log.append(datagrams(1), UNJUDGED, NS);
    await log.flush();
    expect(log.state()).toMatchObject({ state: 'failing', failure: 'ENOENT' });
    await log.close();
  });
});
