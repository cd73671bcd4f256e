import { randomUUID } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RegistryError } from './errors.ts';

/** Body limits of answers in bytes: manifests (OCI distribution-spec asks for at least 4 MiB), API answers, error bodies. */
export const MANIFEST_LIMIT = 4 * 1024 * 1024;
export const JSON_LIMIT = 8 * 1024 * 1024;
export const ERROR_LIMIT = 64 * 1024;

export interface Timeouts {
  /** No byte in either direction for this long. */
  readonly idleMs: number;
  /** The same while a blob goes out: a registry may move it to its final place before it answers. */
  readonly uploadIdleMs: number;
  /** A whole request without a streamed body. */
  readonly requestMs: number;
  /** Slowest upload taken for alive, in bytes per second; an upload gets `uploadIdleMs` + size / floor. */
  readonly uploadFloor: number;
}
export const DEFAULT_TIMEOUTS: Timeouts = {
  idleMs: 60_000,
  uploadIdleMs: 900_000,
  requestMs: 120_000,
  uploadFloor: 64 * 1024,
};

export interface Ask {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Path and query, beginning with a slash. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | { readonly size: number; readonly bytes: AsyncIterable<Uint8Array> };
  /** Limit of the body of a 2xx answer in bytes. */
  readonly limit?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  readonly path: string;
  readonly requestId: string;
}

/** One origin (scheme, host, port) that is talked to; no cookies are kept, no redirect is followed. */
export interface Transport {
  readonly origin: string;
  /** Throws RegistryError `registry-unreachable`, `registry-timeout`, `registry-tls`; a body's own error passes through. */
  ask(ask: Ask): Promise<Answer>;
  close(): void;
}

const isTls = (code: string): boolean =>
  /^(CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/.test(code);

/** What the source of a streamed body threw: not the registry's doing, so it reaches the caller as it was. */
class SourceFailure extends Error {
  constructor(cause: unknown) {
    super('the source of the body failed', { cause });
  }
}

async function* watched(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* bytes;
  } catch (cause) {
    throw new SourceFailure(cause);
  }
}

function worldError(error: unknown, origin: string, path: string): unknown {
  if (error instanceof SourceFailure) return error.cause;
  if (!(error instanceof Error) || error instanceof RegistryError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const where = `${origin}${path.split('?')[0] ?? ''}`;
  if (error.name === 'TimeoutError' || code === 'ABORT_ERR') {
    return new RegistryError('registry-timeout', `no answer from ${where} in time; the request is tried again`, {
      cause: error,
    });
  }
  if (isTls(code)) {
    const text = `TLS with ${origin} failed (${code}); check the certificate and the configured ca file`;
    return new RegistryError('registry-tls', text, { cause: error });
  }
  const network = /^(E[A-Z0-9]+|ERR_STREAM_PREMATURE_CLOSE|HPE_.*|UND_.*)$/.test(code);
  if (!network) return error;
  const text = `cannot talk to ${where} (${code}); the request is tried again`;
  return new RegistryError('registry-unreachable', text, { cause: error });
}

async function collect(message: IncomingMessage, limit: number, where: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of message as AsyncIterable<Uint8Array>) {
    size += piece.length;
    if (size > limit) {
      message.destroy();
      const text = `the answer of ${where} is longer than ${limit} bytes; check what answers there`;
      throw new RegistryError('registry-answer-malformed', text);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** An error body is read up to its limit and then cut: it only explains. */
async function collectCut(message: IncomingMessage): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of message as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    size += piece.length;
    if (size >= ERROR_LIMIT) break;
  }
  message.destroy();
  return Buffer.concat(pieces).subarray(0, ERROR_LIMIT);
}

/** Longest time a timer of Node can be set to. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Whole bodies can be sent a second time, streamed ones are gone once read. */
export const isReplayable = (body: Ask['body']): body is Uint8Array | undefined =>
  body === undefined || body instanceof Uint8Array;

export interface TransportOptions {
  readonly url: string;
  /** PEM of the certificate authority, for https. */
  readonly ca?: string;
  readonly timeouts?: Partial<Timeouts>;
}

class NodeTransport implements Transport {
  readonly origin: string;
  readonly #url: URL;
  readonly #agent: http.Agent;
  readonly #secure: boolean;
  readonly #timeouts: Timeouts;

  constructor(options: TransportOptions) {
    this.#url = new URL(options.url);
    this.origin = this.#url.origin;
    this.#secure = this.#url.protocol === 'https:';
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    const pool = { keepAlive: true, maxSockets: 8, maxFreeSockets: 4, timeout: this.#timeouts.idleMs };
    const tls = options.ca === undefined ? {} : { ca: options.ca };
    this.#agent = this.#secure ? new https.Agent({ ...pool, ...tls }) : new http.Agent(pool);
  }

  async ask(ask: Ask): Promise<Answer> {
    const first = await this.#try(ask).catch((error: unknown) => ({ error }));
    if (!('error' in first)) return first.answer;
    // The server closed an idle connection just as we used it: nothing was processed, so once more on a new one.
    const stale = isReplayable(ask.body) && (first.error as { stale?: boolean }).stale === true;
    const second = stale ? await this.#try(ask).catch((error: unknown) => ({ error })) : first;
    if (!('error' in second)) return second.answer;
    throw worldError(second.error, this.origin, ask.path);
  }

  close(): void {
    this.#agent.destroy();
  }

  #deadline(ask: Ask): number {
    const { requestMs, uploadIdleMs, uploadFloor } = this.#timeouts;
    if (isReplayable(ask.body)) return requestMs;
    return Math.min(uploadIdleMs + Math.ceil((ask.body.size / uploadFloor) * 1000), TIMER_MAX_MS);
  }

  #open(ask: Ask, requestId: string, signal: AbortSignal): http.ClientRequest {
    const length =
      ask.body === undefined ? undefined : ask.body instanceof Uint8Array ? ask.body.length : ask.body.size;
    const bodied = ask.method === 'POST' || ask.method === 'PUT';
    const headers = {
      ...ask.headers,
      'x-request-id': requestId,
      'user-agent': 'sluice',
      ...(bodied ? { 'content-length': String(length ?? 0) } : {}),
    };
    const open = this.#secure ? https.request : http.request;
    return open(new URL(ask.path, this.origin), { method: ask.method, headers, agent: this.#agent, signal });
  }

  async #try(ask: Ask): Promise<{ readonly answer: Answer }> {
    const requestId = randomUUID();
    const idle = new AbortController();
    const signal = AbortSignal.any([AbortSignal.timeout(this.#deadline(ask)), idle.signal]);
    const request = this.#open(ask, requestId, signal);
    request.setTimeout(isReplayable(ask.body) ? this.#timeouts.idleMs : this.#timeouts.uploadIdleMs, () =>
      idle.abort(new DOMException('idle', 'TimeoutError')),
    );
    try {
      return { answer: await this.#exchange(ask, request, requestId) };
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      if (!request.writableFinished) request.destroy();
    }
  }

  async #exchange(ask: Ask, request: http.ClientRequest, requestId: string): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    let answered = false;
    let streaming = false;
    const fail = (error: unknown): void => {
      if (answered) return;
      const reset = (error as NodeJS.ErrnoException).code === 'ECONNRESET';
      reject(
        reset && request.reusedSocket && !streaming ? Object.assign(error as Error, { stale: true }) : (error as Error),
      );
    };
    request.on('error', fail);
    request.on('response', (message) => {
      answered = true;
      const status = message.statusCode ?? 0;
      const good = status >= 200 && status < 300;
      const body = good ? collect(message, ask.limit ?? JSON_LIMIT, `${this.origin}${ask.path}`) : collectCut(message);
      const headers = message.headers as Record<string, string | undefined>;
      body.then((bytes) => resolve({ status, headers, body: bytes, path: ask.path, requestId }), reject);
    });
    if (isReplayable(ask.body)) {
      request.end(ask.body);
      return promise;
    }
    streaming = true;
    // An early answer (quota, say) ends the sending; what the source itself throws reaches the caller.
    pipeline(Readable.from(watched(ask.body.bytes), { objectMode: false }), request).catch(fail);
    return promise;
  }
}

export const openTransport = (options: TransportOptions): Transport => new NodeTransport(options);
