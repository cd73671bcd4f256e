import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { OperationalError } from '@sluice/ports';
import { RefusedError, UsageError } from './arguments.ts';

/** Longest answer that is read. */
const ANSWER_BYTES = 64 * 2 ** 20;
const ANSWER_MS = 15_000;

/** The daemons of this host in the order in which they are tried: ports as the examples have them. */
const LOCAL = ['http://127.0.0.1:9181', 'http://127.0.0.1:9180'];

/** Which daemon is asked: the options that every asking command has. */
export interface Where {
  readonly at?: string | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** The read-only port of a daemon. */
export class Daemon {
  readonly origin: string;
  readonly #where: Where;

  private constructor(origin: string, where: Where) {
    this.origin = origin;
    this.#where = where;
  }

  /** The one that was named, or the first of this host that answers. */
  static async find(where: Where): Promise<Daemon> {
    const named = where.at ?? process.env.SLUICE_AT;
    if (named !== undefined && named !== '') return new Daemon(originOf(named), where);
    for (const origin of LOCAL) {
      const daemon = new Daemon(origin, where);
      if ((await daemon.#open('/livez').catch(() => undefined)) !== undefined) return daemon;
    }
    throw new OperationalError(
      'daemon-silent',
      `no daemon answers at ${LOCAL.join(' or ')}; start one, or name another place with --at`,
      { retryable: true },
    );
  }

  /** The JSON document of a GET. A refusal is a RefusedError with the daemon's own sentence. */
  async get<T>(path: string): Promise<T> {
    const response = await this.#open(path);
    const text = await textOf(response);
    const { statusCode = 0 } = response;
    const value = jsonOf(text);
    // Health says no with 503, and with a report.
    if (statusCode === 200 || (statusCode === 503 && path.endsWith('z'))) return value as T;
    const { detail } = (value ?? {}) as { readonly detail?: unknown };
    const why = typeof detail === 'string' ? detail : `it answered with status ${String(statusCode)}`;
    throw new RefusedError(`${this.origin}: ${why}`);
  }

  /** The events of /v1/events as they come, until the daemon ends or `signal` does. */
  async *events(after: number | undefined, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    const response = await this.#open(`/v1/events${after === undefined ? '' : `?after=${String(after)}`}`, signal);
    if (response.statusCode !== 200) {
      const { detail } = (jsonOf(await textOf(response)) ?? {}) as { readonly detail?: string };
      throw new RefusedError(`${this.origin}: ${detail ?? `status ${String(response.statusCode)}`}`);
    }
    response.setEncoding('utf8');
    yield* serverEvents(response as AsyncIterable<string>);
  }

  #open(path: string, signal?: AbortSignal): Promise<IncomingMessage> {
    const { ca, cert, key } = this.#where;
    const isTls = this.origin.startsWith('https:');
    const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
    const tls = isTls ? { ca: read(ca), cert: read(cert), key: read(key) } : {};
    return new Promise((resolve, reject) => {
      const options = { ...tls, ...(signal === undefined ? { timeout: ANSWER_MS } : { signal }) };
      const url = `${this.origin}${path}`;
      const asked = isTls ? tlsRequest(url, options, resolve) : plainRequest(url, options, resolve);
      asked.once('timeout', () => asked.destroy(new Error(`no answer within ${String(ANSWER_MS / 1000)} s`)));
      asked.once('error', (cause) => {
        if (signal?.aborted === true) reject(cause);
        else reject(silent(this.origin, cause));
      });
      asked.end();
    });
  }
}

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** Server-sent events out of a stream of text. */
export async function* serverEvents(chunks: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let rest = '';
  for await (const chunk of chunks) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line));
      const of = (name: string): string =>
        fields.flatMap((field) => (field?.[1] === name ? [field[2]] : [])).join('\n');
      if (of('data') !== '') yield { event: of('event'), data: of('data') };
    }
    if (rest.length > ANSWER_BYTES) throw new Error('an event has no end');
  }
}

function originOf(named: string): string {
  const parsed = URL.parse(named.includes('://') ? named : `http://${named}`);
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol) || parsed.host === '')
    throw new UsageError('--at takes the address of a daemon, such as 127.0.0.1:9181 or https://host:9181');
  return parsed.origin;
}

const silent = (origin: string, cause: unknown): OperationalError =>
  new OperationalError(
    'daemon-silent',
    `${origin} does not answer (${cause instanceof Error ? cause.message : String(cause)}); is the daemon running, and is this its address?`,
    { retryable: true, cause },
  );

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response as AsyncIterable<string>) {
    text += chunk;
    if (text.length > ANSWER_BYTES) throw new Error('the answer is longer than any of ours');
  }
  return text;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
