import type { AddressInfo } from 'node:net';
import { escapeJson, OperationalError } from '@sluice/ports';
import type { Logger } from '@sluice/base';
import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';
import { HEALTH_TYPE, type Health, type HealthReport } from './health.ts';
import type { Metrics } from './metrics.ts';
import { pageRequest, type Page, type PageRequest } from './paging.ts';
import { installProblems, sendProblem } from './problem.ts';
import { closeServer } from './close.ts';

/** Limits of the read-only port. */
export const HTTP_LIMITS = {
  headerBytes: 8192,
  /** No request here needs a body. */
  bodyBytes: 1024,
  headersMs: 5000,
  requestMs: 10_000,
  idleMs: 30_000,
  connections: 64,
  requestsPerConnection: 1000,
} as const;

const READ_METHODS = ['GET', 'HEAD'];
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

export interface HttpOptions {
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port?: number;
  /** A listening socket handed in (systemd socket activation); then host and port are not used. */
  readonly fd?: number;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** The answer of /v1/status. */
  readonly status: () => unknown;
  /** One page of /v1/bundles; without it there is no such route. */
  readonly bundles?: (page: PageRequest) => Page | Promise<Page>;
  /** Further GET routes. */
  readonly routes?: (app: FastifyInstance) => void;
}

export interface HttpServer {
  /** `http://127.0.0.1:9180`, for logs and status lines. */
  readonly origin: string;
  close(): Promise<void>;
}

/**
 * The read-only port: /livez, /readyz, /healthz, /metrics, /v1/status, /v1/bundles.
 * On loopback a Host header of another name is refused (421), so that no web page can reach it by DNS rebinding.
 * @throws OperationalError `http-listen`
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const app = fastify({
    bodyLimit: HTTP_LIMITS.bodyBytes,
    requestTimeout: HTTP_LIMITS.requestMs,
    connectionTimeout: HTTP_LIMITS.idleMs,
    maxRequestsPerSocket: HTTP_LIMITS.requestsPerConnection,
    http: { maxHeaderSize: HTTP_LIMITS.headerBytes, headersTimeout: HTTP_LIMITS.headersMs },
  });
  app.server.maxConnections = HTTP_LIMITS.connections;
  let loopback = true;
  app.addHook('onRoute', ({ method, url }) => {
    const odd = [method].flat().find((each) => !READ_METHODS.includes(each));
    if (odd !== undefined) throw new Error(`${odd} ${url}: this port is read-only`);
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    if (!READ_METHODS.includes(request.method)) {
      return sendProblem(reply.header('allow', 'GET, HEAD'), 405, 'This port is read-only; use the control socket.');
    }
    if (loopback && !LOOPBACK_HOSTS.includes(hostName(request.headers.host ?? ''))) {
      return sendProblem(reply, 421, 'This service listens on loopback and answers to localhost only.');
    }
    return undefined;
  });
  // Whoever looks at an answer in a terminal is not driven by what stands in it.
  app.setReplySerializer((payload) => escapeJson(JSON.stringify(payload)));
  installProblems(app, options.logger);
  addRoutes(app, options);
  await app.ready();
  const address = await listen(app, options);
  loopback = isLoopback(address.address);
  return { origin: originOf(address), close: () => closeServer(app) };
}

function addRoutes(app: FastifyInstance, options: HttpOptions): void {
  const { health, metrics, status, bundles, routes } = options;
  app.get('/livez', async (_, reply) => sendHealth(reply, await health.live()));
  app.get('/readyz', async (_, reply) => sendHealth(reply, await health.ready()));
  app.get('/healthz', async (_, reply) => sendHealth(reply, await health.report()));
  app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.get('/v1/status', async (_, reply) => reply.send(await status()));
  if (bundles !== undefined) {
    app.get('/v1/bundles', async (request, reply) => reply.send(await bundles(pageRequest(request.query))));
  }
  routes?.(app);
}

const sendHealth = (reply: FastifyReply, report: HealthReport): FastifyReply =>
  reply
    .code(report.status === 'fail' ? 503 : 200)
    .type(HEALTH_TYPE)
    .send(escapeJson(JSON.stringify(report)));

/** The name in a Host header without its port. */
const hostName = (host: string): string => host.replace(/:\d{1,5}$/, '').toLowerCase();
const isLoopback = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address);

function listen(app: FastifyInstance, { host = '127.0.0.1', port = 0, fd }: HttpOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    app.server.once('error', (cause) => {
      const where = fd === undefined ? `${host} port ${String(port)}` : `file descriptor ${String(fd)}`;
      const message = `cannot listen on ${where} (${cause.message}); free it or set another in the configuration.`;
      reject(new OperationalError('http-listen', message, { retryable: false, cause }));
    });
    app.server.listen(fd === undefined ? { host, port } : { fd }, () => {
      const address = app.server.address();
      if (typeof address === 'object' && address !== null) resolve(address);
      else reject(new Error('the HTTP socket has no internet address'));
    });
  });
}

const originOf = ({ address, port, family }: AddressInfo): string =>
  `http://${family === 'IPv6' ? `[${address}]` : address}:${String(port)}`;
