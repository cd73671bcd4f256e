import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { createJsonLogger } from '@sluice/base';
import { describe, expect, it } from 'vitest';
import { type EventFeed, HTTP_LIMITS, type HttpOptions, type Overview } from '../src/index.ts';
import { head, serve } from './ask.ts';

const overview = { side: 'receiver', link: { level: 'bad', state: '<b>\u202e', detail: '' } } as unknown as Overview;

/** A feed of numbered entries that can grow. */
class Feed implements EventFeed {
  #last: number;
  asked = 0;
  constructor(last: number) {
    this.#last = last;
  }
  last(): number {
    return this.#last;
  }
  grow(): void {
    this.#last += 1;
  }
  after(seq: number, limit: number): { seq: number; kind: string }[] {
    this.asked += 1;
    const count = Math.min(limit, this.#last - seq);
    return Array.from({ length: count }, (_, i) => ({ seq: seq + i + 1, kind: 'x\u009b' }));
  }
}

const eventsOf = (feed: EventFeed): Pick<HttpOptions, 'events'> => ({
  events: { feed, overview: () => Promise.resolve(overview) },
});

interface Told {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: unknown;
}

/** Reads events until `enough` of them have come. */
async function told(port: number, path: string, enough: number, headers: Record<string, string> = {}): Promise<Told[]> {
  const { response, sent } = await head(port, path, headers);
  expect(response.statusCode).toBe(200);
  expect(response.headers['content-type']).toBe('text/event-stream');
  let body = '';
  const found: Told[] = [];
  for await (const chunk of response) {
    body += String(chunk);
    for (let end = body.indexOf('\n\n'); end >= 0; end = body.indexOf('\n\n')) {
      const lines = body.slice(0, end).split('\n');
      body = body.slice(end + 2);
      const field = (name: string): string | undefined =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      expect(lines.join('')).not.toMatch(/[^\u0020-\u007e]/);
      if (data !== undefined) found.push({ id: field('id'), event: field('event'), data: JSON.parse(data) as unknown });
    }
    if (found.length >= enough) break;
  }
  sent.destroy();
  return found;
}

describe('the stream of events', () => {
  it('tells how things are at once, then each entry of the ledger that is new', async () => {
    const feed = new Feed(7);
    const { port } = await serve(eventsOf(feed));
    const told7 = told(port, '/v1/events', 3);
    await expect.poll(() => feed.asked).toBeGreaterThan(0);
    feed.grow();
    expect((await told7).slice(0, 2)).toEqual([
      { id: undefined, event: 'overview', data: overview },
      { id: '8', event: 'entry', data: { seq: 8, kind: 'x\u009b' } },
    ]);
  });

  it('goes on after an entry, a bounded number of them at once', async () => {
    const { port } = await serve(eventsOf(new Feed(1000)));
    const ids = (events: Told[]): unknown[] => events.flatMap(({ id }) => id ?? []);
    const some = ids(await told(port, '/v1/events', 1, { 'last-event-id': '10' }));
    expect([some[0], some.length]).toEqual(['11', HTTP_LIMITS.streamEntries]);
    expect(ids(await told(port, '/v1/events?after=997', 4))).toEqual(['998', '999', '1000']);
    // A number of another ledger: only what is new.
    expect(ids(await told(port, '/v1/events?after=5000', 1))).toEqual([]);
  });

  it('tells nothing while the ledger or the view fails, and goes on when they are back', async () => {
    let failures = 0;
    const view = (): Promise<Overview> => {
      failures += 1;
      return failures < 3 ? Promise.reject(new Error('the disk')) : Promise.resolve(overview);
    };
    const lines: string[] = [];
    const logger = createJsonLogger('test', { write: (line) => lines.push(line) });
    const { port } = await serve({ logger, events: { feed: new Feed(1), overview: view } });
    expect(await told(port, '/v1/events', 1)).toEqual([{ id: undefined, event: 'overview', data: overview }]);
    expect(failures).toBe(3);
    // Repeats are counted, not written.
    expect(lines.filter((line) => line.includes('the disk'))).toHaveLength(1);
  });

  it.each(['after=x', 'after=-1', 'after=1e3', 'limit=1', 'after=1&after=2'])('refuses %s', async (query) => {
    const { port } = await serve(eventsOf(new Feed(1)));
    expect((await head(port, `/v1/events?${query}`)).response.statusCode).toBe(400);
  });

  it(
    'closes a stream that takes nothing, and asks for nothing more for it meanwhile',
    { timeout: 40_000 },
    async () => {
      const feed = new Feed(1);
      const large = { ...overview, far: 'x'.repeat(16 * 2 ** 20) } as unknown as Overview;
      const { port } = await serve({ events: { feed, overview: () => Promise.resolve(large) } });
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write('GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n');
      socket.pause();
      await expect.poll(() => feed.asked).toBe(1);
      const streams = async (): Promise<string> => text((await head(port, '/metrics')).response);
      await expect.poll(streams).toContain('sluice_http_event_streams 1');
      await expect.poll(streams, { timeout: 30_000, interval: 500 }).toContain('sluice_http_event_streams 0');
      expect(feed.asked).toBe(1);
      socket.destroy();
    },
  );
});

describe('the caps of the port', () => {
  it('refuse streams beyond theirs with 503, and give the place of one that went', async () => {
    const { port } = await serve(eventsOf(new Feed(1)));
    const open = await Promise.all(Array.from({ length: HTTP_LIMITS.streams }, () => head(port, '/v1/events')));
    expect(open.map(({ response }) => response.statusCode)).toEqual(open.map(() => 200));
    const { response } = await head(port, '/v1/events');
    expect([response.statusCode, response.headers.connection]).toEqual([503, 'close']);
    expect((await head(port, '/livez')).response.statusCode).toBe(200);
    open[0]?.sent.destroy();
    await expect.poll(async () => (await head(port, '/v1/events')).response.statusCode).toBe(200);
  });

  it('answer connections beyond theirs with 503 and close them; those that say nothing go after a while', async () => {
    const { port } = await serve();
    const idle = await Promise.all(
      Array.from({ length: HTTP_LIMITS.connections }, async () => {
        const socket = connect(port, '127.0.0.1').on('error', () => undefined);
        await once(socket, 'connect');
        return socket;
      }),
    );
    const extra = connect(port, '127.0.0.1').on('error', () => undefined);
    expect(await text(extra)).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n(.|\r\n)*"status":503/);
    for (const socket of idle) socket.resume();
    await Promise.all(idle.map(async (socket) => socket.closed || (await once(socket, 'close'))));
    expect((await head(port, '/livez')).response.statusCode).toBe(200);
  });

  it('10,000 requests for streams that stay cost 503s, and the port still answers', { timeout: 60_000 }, async () => {
    const { port } = await serve(eventsOf(new Feed(1)));
    const counts = new Map<string, number>();
    const one = (): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1');
        socket.setNoDelay().write('GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n');
        socket.once('data', (chunk: Buffer) => {
          const status = chunk.toString('latin1', 9, 12);
          counts.set(status, (counts.get(status) ?? 0) + 1);
          // It stays as long as it may.
          resolve();
        });
        socket.once('error', () => resolve());
        socket.once('close', () => resolve());
      });
    for (let made = 0; made < 10_000; made += 200) await Promise.all(Array.from({ length: 200 }, one));
    expect(counts.get('200')).toBe(HTTP_LIMITS.streams);
    expect(counts.get('503')).toBeGreaterThan(5000);
    expect((await head(port, '/livez')).response.statusCode).toBe(200);
  });
});
