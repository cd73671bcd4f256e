import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { classify, makeTsi, readSbn } from '@sluice/alc';
import { createJsonLogger } from '@sluice/base';
import { DEFAULT_LIMITS } from '@sluice/transfer';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type MediaAnswer, serveMedia } from '../src/media.ts';
import { Feed, Link } from './feed.ts';
import { bytesOf, digestOf } from './samples.ts';
import { scratch } from './tools.ts';

const MIB = 2 ** 20;
const STATEMENT = bytesOf('statement', 900);
const BLOB = bytesOf('blob', 3 * MIB);
const MEDIA = makeTsi('media', 200_000_000);
const logger = createJsonLogger('test', { level: 'fatal' });

/** A link with its media socket, and a way to hand it datagrams. */
class Served {
  readonly link = new Link(scratch(), { unsignedBytesHeld: 4 * MIB });
  readonly path = join(scratch(), 'media.sock');

  static async start(): Promise<Served> {
    const served = new Served();
    const { pipeline } = served.link;
    const parts = { path: served.path, mode: 0o600, pipeline, limits: DEFAULT_LIMITS, queueBytes: 64 * MIB, logger };
    const server = await serveMedia(parts);
    onTestFinished(() => server.close());
    return served;
  }

  async open(): Promise<Import> {
    const socket = connect(this.path);
    await once(socket, 'connect');
    return new Import(socket);
  }

  async take(datagrams: readonly Uint8Array[]): Promise<MediaAnswer> {
    const media = await this.open();
    await media.give(datagrams);
    return media.end();
  }
}

class Import {
  readonly #socket: Socket;
  #said = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (piece: string) => (this.#said += piece));
  }

  async give(datagrams: readonly Uint8Array[]): Promise<void> {
    const frames = datagrams.flatMap((datagram) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(datagram.length);
      return [length, datagram];
    });
    await new Promise((resolve) => this.#socket.write(Buffer.concat(frames), resolve));
  }

  breakOff(): void {
    this.#socket.destroy();
  }

  async end(): Promise<MediaAnswer> {
    this.#socket.write(Buffer.alloc(2));
    await once(this.#socket, 'close');
    return JSON.parse(this.#said) as MediaAnswer;
  }
}

const carried = (feed = new Feed(MEDIA)): Uint8Array[] => feed.pass(feed.order([STATEMENT], [BLOB]));
const states = ({ objects }: MediaAnswer): string[] => objects.map(({ state }) => state);

describe('media that are carried to a link', () => {
  it('come whole through loss, are known the second time, and leave the live session alone', async () => {
    const served = await Served.start();
    const { link } = served;
    const live = new Feed(300_000_000);
    link.source.give(live.heartbeat('{"v":1}'));
    const first = await served.take(carried().filter((_, i) => i % 23 !== 3));
    expect(states(first)).toEqual(['whole', 'whole']);
    expect(first.recoveredSymbols).toBeGreaterThan(0);
    expect(link.objects.map(({ digest }) => digest).toSorted()).toEqual(
      [digestOf(STATEMENT), digestOf(BLOB)].toSorted(),
    );
    expect(states(await served.take(carried()))).toEqual(['known', 'known']);
    expect(link.objects).toHaveLength(2);
    expect(link.pipeline.machine.highestLive).toBe(300_000_000);
    expect(link.verdict('replayed')).toBe(0);
  });

  it('make whole together with the fibre what neither has the whole of', async () => {
    const served = await Served.start();
    const fibre = new Feed(300_000_000);
    const blocks = (odd: number) => (datagram: Uint8Array) =>
      classify(datagram, 0, datagram.length) === 'fdt' || readSbn(datagram, 0) % 2 === odd;
    served.link.source.give(fibre.pass(fibre.order([STATEMENT], [BLOB])).filter(blocks(0)));
    const digests = (): string[] => served.link.objects.map(({ digest }) => digest);
    await expect.poll(digests).toEqual([digestOf(STATEMENT)]);
    expect(states(await served.take(carried().filter(blocks(1))))).toEqual(['known', 'whole']);
    await expect.poll(digests).toContain(digestOf(BLOB));
  });

  it('are of a media session: what was recorded of the fibre, or is no datagram, is passed over', async () => {
    const served = await Served.start();
    const live = new Feed(300_000_000);
    const junk = [1, 3, 15, 16, 1500].map((length) => new Uint8Array(length).fill(0x40));
    const answer = await served.take([...live.pass(live.order([STATEMENT], [])), ...junk]);
    expect(answer.objects).toEqual([]);
    expect(answer.foreign).toBeGreaterThan(3);
    expect(served.link.objects).toEqual([]);
    expect(served.link.pipeline.machine.highestLive).toBe(0);
  });

  it('are refused under a key that has ended: before they came, or while they come', async () => {
    const served = await Served.start();
    const datagrams = carried();
    const under = await served.open();
    await under.give(datagrams.slice(0, 100));
    await expect.poll(() => served.link.objects.length).toBe(1);
    // As a configuration has it, or as the receiver tells.
    served.link.pipeline.endKey(0);
    await under.give(datagrams.slice(100));
    const { verdicts } = await under.end();
    expect(verdicts['key-ended']).toBe(datagrams.length - 100);
    const later = await served.take(datagrams);
    expect(later).toMatchObject({ verdicts: { 'key-ended': datagrams.length }, objects: [] });
    expect(served.link.objects.map(({ digest }) => digest)).toEqual([digestOf(STATEMENT)]);
  });

  it('come one import at a time, and one that breaks off does no harm to the next', async () => {
    const served = await Served.start();
    const datagrams = carried();
    const broken = await served.open();
    await broken.give(datagrams.slice(0, 50));
    const second = connect(served.path);
    await once(second, 'close');
    broken.breakOff();
    await expect.poll(() => served.take(datagrams).then(states, () => 'busy')).not.toBe('busy');
    expect(served.link.objects).toHaveLength(2);
  });
});
