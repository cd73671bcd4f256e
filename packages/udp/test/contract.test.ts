import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bindUdp, openSink, openSource } from '../src/index.ts';
import { Collector, type Ends, numbered, openEnds } from './ends.ts';

const CHILD = join(import.meta.dirname, 'child.ts');

/** What every way of driving the link's sockets must do. */
describe.each(['native', 'portable'] as const)('%s sockets', (io) => {
  let ends: Ends;
  let collector: Collector;

  beforeEach(async () => {
    ends = await openEnds(io);
    collector = new Collector();
  });
  afterEach(async () => {
    ends.sink.close();
    await ends.source.close();
  });

  it('say what they are', () => {
    expect([ends.source.io, ends.sink.io]).toEqual([io, io]);
    expect(ends.source.why).not.toBe('');
    expect(ends.source.receiveBuffer()).toBeGreaterThan(200_000);
  });

  it('deliver in order, each datagram with its bytes', async () => {
    const sizes = [64, 1452, 8940, 16, 65_507];
    const wanted: number[] = [];
    ends.source.start(collector.take);
    for (const [round, size] of sizes.entries()) {
      const count = size > 8000 ? 2 : 97;
      await ends.sink.send(numbered(round * 1000, count, size));
      for (let i = 0; i < count; i += 1) wanted.push(round * 1000 + i);
      await collector.until(wanted.length);
    }
    expect(collector.numbers).toEqual(wanted);
    expect(collector.lengths).toEqual(sizes.flatMap((size) => Array<number>(size > 8000 ? 2 : 97).fill(size)));
  });

  it('report a datagram of any length with its real length', async () => {
    const other = createSocket('udp4');
    ends.source.start(collector.take);
    for (const length of [0, 1, 1453, 9000, 65_507]) other.send(new Uint8Array(length), ends.source.port, '127.0.0.1');
    await collector.until(5);
    expect(collector.lengths).toEqual([0, 1, 1453, 9000, 65_507]);
    other.close();
  });

  it('carry 50,000 datagrams and count every one', async () => {
    ends.source.start(collector.take);
    for (let sent = 0; sent < 50_000; sent += 125) {
      await ends.sink.send(numbered(sent, 125, 1452));
      await collector.until(sent + 125);
    }
    expect(collector.numbers).toHaveLength(50_000);
    expect(collector.numbers.every((number, i) => number === i)).toBe(true);
    expect(ends.source.kernelDrops()).toBe(0);
  });

  it('count what the kernel dropped for want of buffer', async () => {
    const { source, sink } = await openEnds(io, 65_536, 'portable');
    expect(source.receiveBuffer()).toBe(65_536);
    const before = source.kernelDrops();
    // What node:dgram reads by itself before `start` counts as received nowhere, so it starts first and reads later.
    const held = new Collector();
    if (io === 'portable') source.start(held.take);
    await sendAtOnce(async (batch) => sink.send(batch), 2000);
    if (io === 'native') source.start(held.take);
    const dropped = source.kernelDrops() - before;
    expect(dropped).toBeGreaterThan(0);
    await held.until(2000 - dropped);
    expect(held.lengths).toHaveLength(2000 - dropped);
    sink.close();
    await source.close();
  });

  it('go on when nobody listens, and reach who listens later', async () => {
    const { port } = ends.source;
    await ends.source.close();
    await ends.sink.send(numbered(0, 200, 1452));
    await ends.sink.send(numbered(0, 200, 1452));
    expect(ends.sink.refusals).toBeGreaterThan(0);
    const source = await openSource({ host: '127.0.0.1', port, receiveBuffer: 2 ** 22 }, io);
    source.start(collector.take);
    await ends.sink.send(numbered(0, 50, 1452));
    await collector.until(50);
    // What an earlier ICMP message refuses is sent again, and may come after the next.
    expect(collector.numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    await source.close();
  });

  it('refuse a datagram that is too long with a code, and go on', async () => {
    const tooLong = (async () => ends.sink.send(numbered(0, 2, 65_508)))();
    await expect(tooLong).rejects.toMatchObject({ code: 'link-send', retryable: false });
    ends.source.start(collector.take);
    await ends.sink.send(numbered(7, 2, 1000));
    await collector.until(2);
    expect(collector.numbers).toEqual([7, 8]);
  });

  it('free their port on close, however often they are closed', async () => {
    const { port } = ends.source;
    ends.source.start(collector.take);
    await ends.source.close();
    await ends.source.close();
    const again = createSocket('udp4').bind(port, '127.0.0.1');
    await once(again, 'listening');
    again.close();
  });

  it('keep a thread alive that waits for nothing else', async () => {
    const wake = new Int32Array(new SharedArrayBuffer(4));
    const workerData = { io, port: ends.source.port, wake };
    const worker = new Worker(new URL('idle-worker.ts', import.meta.url), { workerData });
    const exited = once(worker, 'exit');
    const said: unknown[] = [];
    worker.on('message', (message) => said.push(message));
    await once(worker, 'message');
    ends.source.start(collector.take);
    await collector.until(1);
    Atomics.store(wake, 0, 1);
    Atomics.notify(wake, 0);
    expect(await exited).toEqual([0]);
    expect(said).toEqual(['open', 'woken']);
  });

  it('take a name for the far side, and say when it has no address', async () => {
    const sink = await openSink({ host: 'localhost', port: ends.source.port, io });
    ends.source.start(collector.take);
    await sink.send(numbered(1, 1, 100));
    await collector.until(1);
    sink.close();
    await expect(openSink({ host: 'no-such-host.invalid', port: 1, io })).rejects.toMatchObject({ code: 'socket' });
  });

  it('refuse a port that is taken with a code', async () => {
    const taken = openSource({ host: '127.0.0.1', port: ends.source.port, receiveBuffer: 65_536 }, io);
    await expect(taken).rejects.toMatchObject({
      code: 'socket',
      message: expect.stringContaining('cannot be bound') as string,
    });
  });

  it('work on a descriptor that was handed in, in a process with as much native code as was asked for', async () => {
    const { fd, port, receiveBuffer } = await bindUdp({ host: '127.0.0.1', port: 0, receiveBuffer: 2 ** 20 });
    const sink = await openSink({ host: '127.0.0.1', port, io: 'native' });
    await sink.send(numbered(0, 30, 1452));
    sink.close();
    const { stdout, stderr } = spawnSync(process.execPath, [CHILD, io, '30'], {
      stdio: ['ignore', 'pipe', 'pipe', fd],
      encoding: 'utf8',
    });
    closeSync(fd);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      numbers: Array.from({ length: 30 }, (_, i) => i),
      port,
      receiveBuffer,
      drops: 0,
      nativeCode: io === 'native' ? ['koffi.node'] : [],
    });
  });
});

/** Sends so much before anything else in this process has its turn. */
async function sendAtOnce(send: (batch: ReturnType<typeof numbered>) => Promise<void>, count: number): Promise<void> {
  const pending: Promise<void>[] = [];
  for (let i = 0; i < count; i += 1) pending.push(send(numbered(i, 1, 1000)));
  await Promise.all(pending);
}
