import type { ServerResponse } from 'node:http';
import { escapeJson } from '@sluice/ports';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { HTTP_LIMITS } from './guard.ts';
import { HttpProblem } from './problem.ts';

/** One entry of the ledger, as it is told. */
export interface FeedEntry extends Readonly<Record<string, unknown>> {
  readonly seq: number;
}

/** What /v1/events tells: the ledger's entries by number, and how things are. */
export interface EventFeed {
  /** Number of the latest entry, 0 for none. */
  last(): number;
  /** Entries after a number, oldest first. */
  after(seq: number, limit: number): readonly FeedEntry[];
}

/** How often streams are told how things are. */
const TELL_MS = 1000;
/** After how long a client connects again. */
const RETRY_MS = 2000;

interface Stream {
  readonly to: ServerResponse;
  seq: number;
  /** Uptime when the last byte was taken. */
  takenAt: number;
}

/** The server-sent events of one process. Nothing is queued for a stream but what it is told next: a slow one is told less. */
export class EventStreams {
  readonly #feed: EventFeed;
  readonly #view: () => unknown;
  readonly #onFailure: (error: unknown) => void;
  readonly #streams = new Set<Stream>();
  #telling = false;
  #timer: NodeJS.Timeout | undefined;
  /** Streams closed because they took nothing. */
  stalled = 0;
  /** Requests refused because there were enough streams. */
  refused = 0;

  /** @param onFailure ledger or view failed: the streams are told nothing this time. */
  constructor(feed: EventFeed, view: () => unknown, onFailure: (error: unknown) => void) {
    this.#feed = feed;
    this.#view = view;
    this.#onFailure = onFailure;
  }

  get open(): number {
    return this.#streams.size;
  }

  /** `GET /v1/events`: goes on after `Last-Event-ID`, or after the query's `after`, else with what is new. */
  install(app: FastifyInstance): void {
    app.get('/v1/events', { exposeHeadRoute: false }, (request, reply) => {
      const { after, ...others } = request.query as Readonly<Record<string, unknown>>;
      const [other] = Object.keys(others);
      if (other !== undefined) throw new HttpProblem(400, `There is no query parameter "${other}"; use after.`);
      const start = request.headers['last-event-id'] ?? after;
      this.#begin(reply, this.#startOf(start));
    });
    app.addHook('preClose', async () => {
      clearInterval(this.#timer);
      for (const { to } of this.#streams) to.end();
      return Promise.resolve();
    });
  }

  /** A number of another ledger, greater than all of ours, is as good as none. */
  #startOf(given: unknown): number {
    const last = this.#feed.last();
    if (given === undefined || given === '') return last;
    if (typeof given !== 'string' || !/^\d{1,15}$/.test(given)) {
      throw new HttpProblem(400, 'after is the number of an event; begin without it.');
    }
    return Math.min(Number(given), last);
  }

  #begin(reply: FastifyReply, seq: number): void {
    if (this.#streams.size >= HTTP_LIMITS.streams) {
      this.refused += 1;
      reply.headers({ connection: 'close', 'retry-after': '5' });
      throw new HttpProblem(
        503,
        `${String(HTTP_LIMITS.streams)} streams of events are open, and that is all there are.`,
      );
    }
    const headers = { ...reply.getHeaders(), 'content-type': 'text/event-stream', connection: 'close' };
    reply.hijack();
    const to = reply.raw;
    to.writeHead(200, headers as Record<string, string>);
    to.write(`retry: ${String(RETRY_MS)}\n\n`);
    const stream = { to, seq, takenAt: performance.now() };
    this.#streams.add(stream);
    // Gone clients end in 'close', which is all that counts here.
    to.on('error', () => undefined);
    to.once('close', () => {
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    this.#timer ??= setInterval(() => void this.#tellReady(), TELL_MS);
    void this.#tried([stream]);
  }

  /** One telling at a time: a slow view is not asked for again and again. */
  async #tellReady(): Promise<void> {
    const ready = [...this.#streams].filter((each) => this.#isReady(each));
    if (this.#telling || ready.length === 0) return;
    this.#telling = true;
    await this.#tried(ready);
    this.#telling = false;
  }

  /** That a page could not be told something is no reason to end the process. */
  async #tried(streams: readonly Stream[]): Promise<void> {
    try {
      await this.#tell(streams);
    } catch (error) {
      this.#onFailure(error);
    }
  }

  async #tell(streams: readonly Stream[]): Promise<void> {
    const view = `event: overview\ndata: ${escapeJson(JSON.stringify(await this.#view()))}\n\n`;
    for (const stream of streams) {
      // It may have gone meanwhile.
      if (!this.#streams.has(stream) || stream.to.writableEnded) continue;
      const entries = this.#feed.after(stream.seq, HTTP_LIMITS.streamEntries);
      stream.seq = entries.at(-1)?.seq ?? stream.seq;
      stream.to.write(entries.map(entryText).join('') + view);
    }
  }

  /** Who has not taken what it was told last is told nothing, and is closed after a while. */
  #isReady(stream: Stream): boolean {
    const now = performance.now();
    if (stream.to.writableLength === 0) {
      stream.takenAt = now;
      return true;
    }
    if (now - stream.takenAt > HTTP_LIMITS.streamStallMs) {
      this.stalled += 1;
      stream.to.destroy();
    }
    return false;
  }
}

const entryText = (entry: FeedEntry): string =>
  `id: ${String(entry.seq)}\nevent: entry\ndata: ${escapeJson(JSON.stringify(entry))}\n\n`;

/** An entry of the ledger as the ledger gives it: its time is Unix milliseconds. */
export interface ChainEntry {
  readonly seq: number;
  readonly time: number;
  readonly kind: string;
  readonly subject: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly hash: string;
}

export const entryView = (entry: ChainEntry): FeedEntry => ({ ...entry, time: new Date(entry.time).toISOString() });

/** The entries of a ledger's chain as events. */
export const feedOf = (chain: {
  last(): number;
  after(seq: number, limit: number): readonly ChainEntry[];
}): EventFeed => ({
  last: () => chain.last(),
  after: (seq, limit) => chain.after(seq, limit).map(entryView),
});
