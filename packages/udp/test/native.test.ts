import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { bindUdp } from '../src/index.ts';
import { getInt, setInt, SO_MAX_PACING_RATE, SOL_SOCKET, SOL_UDP, sys, UDP_SEGMENT } from '../src/libc.ts';
import { NativeSink } from '../src/native-sink.ts';
import { NativeSource } from '../src/native-source.ts';
import { connectUdp } from '../src/socket.ts';
import { Collector, numbered } from './ends.ts';

const SO_NO_CHECK = 11;
const SO_TIMESTAMPNS = 35;
const SO_RXQ_OVFL = 40;
const at = { host: '127.0.0.1', port: 0, receiveBuffer: 2 ** 22 };
const opened: { close(): unknown }[] = [];

/** Closed after the test. */
function kept<T extends { close(): unknown }>(socket: T): T {
  opened.push(socket);
  return socket;
}

/** Receives until nothing is left. */
function drain(source: NativeSource): Collector {
  const collector = new Collector();
  for (let batch = source.receiveOnce(0); batch !== undefined; batch = source.receiveOnce(0)) collector.take(batch);
  return collector;
}

const sockets = (): string[] =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  });

/** A native sink and the descriptor that it does not tell. */
function sinkWithFd(port: number, notes: string[]): { readonly sink: NativeSink; readonly fd: number } {
  const before = new Set(sockets());
  const sink = kept(new NativeSink({ host: '127.0.0.1', port }, (text) => notes.push(text)));
  const added = sockets().filter((fd) => !before.has(fd));
  expect(added).toHaveLength(1);
  return { sink, fd: Number(added[0]) };
}

afterEach(async () => {
  for (const socket of opened.splice(0)) await socket.close();
});

describe('native source', () => {
  it('tells merged datagrams apart behind control messages of others, also after drops', async () => {
    const { fd, port } = await bindUdp({ ...at, receiveBuffer: 131_072 });
    setInt(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    setInt(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    const source = kept(new NativeSource(fd));
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }));
    await sink.send(numbered(0, 1000, 1452));
    expect(source.kernelDrops()).toBeGreaterThan(0);
    drain(source);
    // From here on each receive carries the drop counter before the segment size.
    await sink.send(numbered(5000, 35, 1452));
    const { numbers, lengths } = drain(source);
    expect(lengths).toEqual(Array<number>(35).fill(1452));
    expect(numbers).toEqual(Array.from({ length: 35 }, (_, i) => 5000 + i));
  });

  it('reads runs of very small datagrams', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }));
    await sink.send(numbered(0, 400, 4));
    expect(drain(source).numbers).toEqual(Array.from({ length: 400 }, (_, i) => i));
  });

  it('reads a merged run whose last datagram is shorter', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const sender = connectUdp({ host: '127.0.0.1', port, sendBuffer: 2 ** 20, sendTimeoutMs: 100 });
    expect(setInt(sender, SOL_UDP, UDP_SEGMENT, 1000)).toBe(true);
    expect(sys.send(sender, new Uint8Array(2500), 2500, 0)).toBe(2500);
    sys.close(sender);
    expect(drain(source).lengths).toEqual([1000, 1000, 500]);
  });

  it('waits no longer than it is told, and not at all when something is there', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const begin = performance.now();
    expect(source.receiveOnce(20)).toBeUndefined();
    expect(performance.now() - begin).toBeGreaterThanOrEqual(19);
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }));
    await sink.send(numbered(0, 1, 100));
    expect(source.receiveOnce(60_000)?.count).toBe(1);
  });

  it('is read by a worker thread that blocks, while this one sends', async () => {
    const { fd, port } = await bindUdp({ ...at, receiveBuffer: 2 ** 24 });
    const worker = new Worker(new URL('receiving-worker.ts', import.meta.url), { workerData: { fd, count: 150 } });
    await once(worker, 'message');
    const told = once(worker, 'message');
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }));
    for (let sent = 0; sent < 150; sent += 10) await sink.send(numbered(sent, 10, 1452));
    expect(await told).toEqual([{ count: 150, inOrder: true, drops: 0 }]);
  });

  it('lets timers run under a load that never ends', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }));
    // As many runs as one receive call takes: however often it is called, there is more.
    const load = numbered(0, 32 * 40, 100);
    let batches = 0;
    source.start(() => {
      batches += 1;
      if (batches < 20_000) void sink.send(load);
    });
    await sink.send(load);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(batches).toBeGreaterThan(0);
    expect(batches).toBeLessThan(20_000);
  });
});

describe('native sink', () => {
  it('sends one by one where the kernel does not segment, and says so once', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const notes: string[] = [];
    const { sink, fd: sinkFd } = sinkWithFd(port, notes);
    // Without checksums the kernel refuses to segment.
    setInt(sinkFd, SOL_SOCKET, SO_NO_CHECK, 1);
    for (let round = 0; round < 3; round += 1) await sink.send(numbered(round * 40, 40, 1452));
    const { numbers, lengths } = drain(source);
    expect(numbers).toEqual(Array.from({ length: 120 }, (_, i) => i));
    expect(new Set(lengths)).toEqual(new Set([1452]));
    expect(sink.segmentation).toBe(false);
    expect(notes).toEqual([expect.stringContaining('datagram by datagram')]);
  });

  it('does not give segmentation up for a datagram that is too long', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const notes: string[] = [];
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }, (text) => notes.push(text)));
    expect(() => sink.send(numbered(0, 1, 65_508))).toThrow(/does not fit the MTU/);
    await sink.send(numbered(0, 40, 1452));
    expect(drain(source).numbers).toHaveLength(40);
    expect([sink.segmentation, notes]).toEqual([true, []]);
  });

  it('hands a run over in few calls', async () => {
    const { fd, port } = await bindUdp(at);
    const source = kept(new NativeSource(fd));
    const sink = kept(new NativeSink({ host: '127.0.0.1', port }));
    const real = sys.send;
    let calls = 0;
    sys.send = (...args) => {
      calls += 1;
      return real(...args);
    };
    try {
      await sink.send(numbered(0, 160, 1452));
    } finally {
      sys.send = real;
    }
    expect(calls).toBe(4);
    expect(drain(source).numbers).toHaveLength(160);
  });
});

it('a pacing rate is told to the kernel, up to 32 bits; without one it stays unlimited', () => {
  for (const [wanted, told] of [
    [123_456_789, 123_456_789],
    [2 ** 32 - 1, 2 ** 32 - 1],
    [undefined, 2 ** 32 - 1],
  ] as const) {
    const fd = connectUdp({
      host: '127.0.0.1',
      port: 9,
      sendBuffer: 2 ** 16,
      sendTimeoutMs: 100,
      maxPacingRate: wanted,
    });
    expect((getInt(fd, SOL_SOCKET, SO_MAX_PACING_RATE) ?? 0) >>> 0).toBe(told);
    sys.close(fd);
  }
});
