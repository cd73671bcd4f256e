import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { sendProblem } from './problem.ts';

/** Limits of the read-only port, each with what happens beyond it. */
export const HTTP_LIMITS = {
  /** 431. */
  headerBytes: 8192,
  /** No request here needs a body: 413. */
  bodyBytes: 1024,
  /** A connection whose headers take longer: 408. */
  headersMs: 5000,
  /** A whole request: 408. */
  requestMs: 10_000,
  /** A connection without a byte either way is closed. */
  idleMs: 30_000,
  /** 503, and the connection is closed. */
  connections: 128,
  /** Requests for events beyond these: 503. */
  streams: 32,
  /** Entries told to one stream at once, and never more than one telling waits to be written: the rest comes later. */
  streamEntries: 100,
  /** A stream that takes nothing for this long is closed. */
  streamStallMs: 5000,
  requestsPerConnection: 1000,
} as const;

/** Connections that may be open while they are told that there are too many; those beyond are dropped without a word. */
const TOLD = 64;
const TOO_MANY = JSON.stringify({
  status: 503,
  title: 'Service Unavailable',
  detail: `More than ${String(HTTP_LIMITS.connections)} connections are open; close some, or come back later.`,
});
const REFUSAL = [
  'HTTP/1.1 503 Service Unavailable',
  'content-type: application/problem+json',
  `content-length: ${String(TOO_MANY.length)}`,
  'retry-after: 5',
  'connection: close',
  '',
  TOO_MANY,
].join('\r\n');

const READ_METHODS = ['GET', 'HEAD'];
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

/** Connections beyond the limit are told so in plain words (not where TLS would have to be spoken first), and closed. */
export function limitConnections(app: FastifyInstance, secure: boolean): void {
  const { server } = app;
  server.maxConnections = HTTP_LIMITS.connections + (secure ? 0 : TOLD);
  let open = 0;
  server.on('connection', (socket: Socket) => {
    open += 1;
    socket.once('close', () => (open -= 1));
    if (open <= HTTP_LIMITS.connections || secure) return;
    socket.end(REFUSAL);
    // Whoever does not read it is cut off.
    socket.setTimeout(HTTP_LIMITS.headersMs, () => socket.destroy());
    socket.resume();
  });
}

/** Only reads, and only by a name of ours, so that no web page reaches the port by DNS rebinding. `names` is asked at each request. */
export function onlyReads(app: FastifyInstance, names: () => readonly string[]): void {
  app.addHook('onRoute', ({ method, url }) => {
    const odd = [method].flat().find((each) => !READ_METHODS.includes(each));
    if (odd !== undefined) throw new Error(`${odd} ${url}: this port is read-only`);
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    if (!READ_METHODS.includes(request.method)) {
      return sendProblem(reply.header('allow', 'GET, HEAD'), 405, 'This port is read-only; use the control socket.');
    }
    if (![...LOOPBACK_HOSTS, ...names()].includes(hostName(request.headers.host ?? ''))) {
      return sendProblem(reply, 421, `This service answers to ${[...LOOPBACK_HOSTS, ...names()].join(', ')} only.`);
    }
    return undefined;
  });
}

/** The name in a Host header without its port. */
const hostName = (host: string): string => host.replace(/:\d{1,5}$/, '').toLowerCase();
