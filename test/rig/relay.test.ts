import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { freePort } from '../world/processes.ts';
import { Faults, type FaultOptions } from './faults.ts';

const CLEAN: FaultOptions = {
  seed: 3,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  distance: 100,
  corrupt: 0,
  burst: 0,
  burstLength: 0,
};
const COUNT = 20_000;

/** Numbers of the datagrams that come out, and the counts, when COUNT go in. */
function run(options: Partial<FaultOptions>) {
  const out: Buffer[] = [];
  const faults = new Faults({ ...CLEAN, ...options }, (datagram) => out.push(Buffer.from(datagram)));
  for (let i = 0; i < COUNT; i += 1) {
    const datagram = Buffer.alloc(8);
    datagram.writeUInt32BE(i);
    faults.take(datagram);
  }
  faults.flush();
  return { numbers: out.map((datagram) => datagram.readUInt32BE()), counts: faults.counts, out };
}

describe('faults', () => {
  it('leave a clean link alone', () => {
    expect(run({}).numbers).toEqual(Array.from({ length: COUNT }, (_, i) => i));
  });

  it('are the same for the same seed and others for another', () => {
    const options = { loss: 0.03, duplicate: 0.01, reorder: 0.02, corrupt: 0.01, burst: 0.001, burstLength: 20 };
    expect(run(options)).toEqual(run(options));
    expect(run(options).numbers).not.toEqual(run({ ...options, seed: 4 }).numbers);
  });

  it('lose and double as often as they were told', () => {
    const { numbers, counts } = run({ loss: 0.03, duplicate: 0.01 });
    expect(counts.lost / COUNT).toBeCloseTo(0.03, 2);
    expect(counts.duplicated / COUNT).toBeCloseTo(0.01, 2);
    expect(numbers).toHaveLength(COUNT - counts.lost + counts.duplicated);
    expect(new Set(numbers).size).toBe(COUNT - counts.lost);
  });

  it('hold back for no more than the distance, and lose nothing by it', () => {
    const { numbers, counts } = run({ reorder: 0.2, distance: 50 });
    expect(counts.reordered).toBeGreaterThan(0);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, i) => i));
    let highest = -1;
    let latest = 0;
    for (const number of numbers) {
      latest = Math.max(latest, highest - number);
      highest = Math.max(highest, number);
    }
    expect(latest).toBeGreaterThan(25);
    expect(latest).toBeLessThanOrEqual(50);
  });

  it('lose whole stretches in outages', () => {
    const { numbers, counts } = run({ burst: 0.0005, burstLength: 100 });
    expect(counts.bursts).toBeGreaterThan(0);
    const gaps = numbers.map((number, i) => number - (numbers[i - 1] ?? -1) - 1).filter((gap) => gap > 0);
    expect(gaps.every((gap) => gap % 100 === 0)).toBe(true);
    expect(counts.lost).toBe(COUNT - numbers.length);
  });

  it('turn over one bit', () => {
    const { out, counts } = run({ corrupt: 1 });
    expect(counts.corrupted).toBe(COUNT);
    for (const [i, datagram] of out.entries()) {
      const difference = (BigInt(i) ^ (datagram.readBigUInt64BE() >> 32n)) | (datagram.readBigUInt64BE() & 0xffffffffn);
      expect(difference.toString(2).replaceAll('0', '')).toBe('1');
    }
  });
});

describe('relay', () => {
  it('forwards with its faults and prints what it did', async () => {
    const receiver = createSocket({ type: 'udp4', recvBufferSize: 2 ** 23 }).bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    let received = 0;
    receiver.on('message', () => (received += 1));
    const port = await freePort();
    const words = ['--listen', String(port), '--to', String(receiver.address().port), '--loss', '0.1', '--seed', '5'];
    const relay = spawn(process.execPath, [join(import.meta.dirname, 'relay.ts'), ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(relay.stdout)[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('relay ready');
    const sender = createSocket('udp4');
    for (let i = 0; i < 1000; i += 1) {
      await new Promise((resolve) => {
        sender.send(Buffer.alloc(1452), port, '127.0.0.1', resolve);
      });
    }
    sender.close();
    const expected = new Faults({ ...CLEAN, loss: 0.1, seed: 5 }, () => undefined);
    for (let i = 0; i < 1000; i += 1) expected.take(Buffer.alloc(1452));
    while (received < expected.counts.forwarded) await once(receiver, 'message');
    relay.kill('SIGTERM');
    expect(JSON.parse(String((await lines.next()).value))).toEqual({ ...expected.counts, dark: 0, refused: 0 });
    receiver.close();
  });
});
