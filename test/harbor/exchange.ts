import type { IncomingMessage, ServerResponse } from 'node:http';

/** One request with its answer, kept for tests to look at. Bodies of /api only. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly requestId: string | undefined;
  readonly authorization: 'none' | 'basic' | 'bearer';
  readonly cookie: boolean;
  readonly request: unknown;
  status: number;
  answer: unknown;
}

export interface Answering {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly exchange: Exchange;
}

export type Headers = Record<string, string | number>;

export function answer(on: Answering, status: number, body?: unknown, headers: Headers = {}): void {
  on.exchange.status = status;
  on.exchange.answer = body;
  if (on.response.headersSent) return;
  if (body === undefined) {
    on.response.writeHead(status, headers).end();
    return;
  }
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type = typeof body === 'string' ? 'text/plain' : 'application/json; charset=utf-8';
  const all = { 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers };
  on.response.writeHead(status, all).end(on.method === 'HEAD' ? undefined : text);
}

/** Harbor's error body; what is 500 and above says nothing, as there. */
export function refuse(on: Answering, status: number, code: string, message: string, headers: Headers = {}): void {
  const masked = status >= 500 ? { code: 'UNKNOWN', message: 'internal server error' } : { code, message };
  on.request.resume();
  answer(on, status, { errors: [masked] }, headers);
}

export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size <= limit) pieces.push(piece);
  }
  return size > limit ? undefined : Buffer.concat(pieces);
}
