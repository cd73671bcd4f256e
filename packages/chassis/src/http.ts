import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { escapeJson, OperationalError } from '@sluice/ports';
import { type ListenFd, type Logger, rateLimited, type Secret } from '@sluice/base';
import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';
import { type EventFeed, EventStreams } from './events.ts';
import { HTTP_LIMITS, limitConnections, onlyReads } from './guard.ts';
import { HEALTH_TYPE, type Health, type HealthReport, RANK } from './health.ts';
import type { Metrics } from './metrics.ts';
import { type ApiSchemas, openApi } from './openapi.ts';
import type { Overview } from './overview.ts';
import { installPage } from './page.ts';
import { type Filters, pageRequest, type Page, type PageRequest } from './paging.ts';
import { HttpProblem, installProblems } from './problem.ts';
import { closeServer } from './close.ts';

/** How often connections are held against their times. */
const CHECK_MS = 1000;

export interface HttpOptions {
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port?: number;
  /** A listening socket handed in (systemd socket activation); then host and port are not used. */
  readonly fd?: number;
  /** Beyond loopback there is no port without it. */
  readonly tls?: { readonly certFile: string; readonly keyFile: Secret; readonly clientCaFile: string };
  /** Names by which clients may call it, besides its address and those of loopback. */
  readonly names?: readonly string[];
  /** Title of the OpenAPI document. */
  readonly title?: string;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** The answer of /v1/status. */
  readonly status: () => unknown;
  /** One page of /v1/bundles; without it there is no such route. */
  readonly bundles?: (page: PageRequest) => Page | Promise<Page>;
  /** Query parameters of /v1/bundles. */
  readonly filters?: Filters;
  /** All that is known of one bundle; undefined when there is none of this id. */
  readonly story?: (id: string) => unknown;
  /** What /v1/events tells, and the status page shows. */
  readonly events?: { readonly feed: EventFeed; readonly overview: () => Promise<Overview> };
  readonly schemas?: ApiSchemas;
  /** Further GET routes. */
  readonly routes?: (app: FastifyInstance) => void;
}

export interface HttpServer {
  /** `http://127.0.0.1:9180`, for logs and status lines. */
  readonly origin: string;
  close(): Promise<void>;
}

/** The socket for HTTP among those that systemd handed in, as an option of `startHttp`. */
export function handedIn(sockets: readonly ListenFd[]): Pick<HttpOptions, 'fd'> {
  const found = sockets.find(({ name }) => name === 'http');
  return found === undefined ? {} : { fd: found.fd };
}

/**
 * The read-only port: /livez, /readyz, /healthz, /metrics, /v1/status, /v1/bundles, /v1/events, the OpenAPI document and the
 * status page.
 * @throws OperationalError `http-listen`
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { tls } = options;
  const app = create(options);
  const names = new Set(options.names?.map((name) => name.toLowerCase()));
  onlyReads(app, () => [...names]);
  limitConnections(app, tls !== undefined);
  // Whoever looks at an answer in a terminal is not driven by what stands in it.
  app.setReplySerializer((payload) => escapeJson(JSON.stringify(payload)));
  installProblems(app, options.logger);
  addRoutes(app, options);
  await app.ready();
  const address = await listen(app, options);
  if (!isLoopback(address.address) && tls === undefined) {
    await closeServer(app);
    throw cannotListen(options, 'beyond loopback clients must show a certificate: set "tls"');
  }
  names.add(address.family === 'IPv6' ? `[${address.address}]` : address.address);
  if (options.fd !== undefined && options.port !== undefined && options.port !== 0 && options.port !== address.port) {
    const where = { listening: address.port, configured: options.port };
    options.logger.warn(
      where,
      'the socket unit listens on another port than the configuration says; change one of the two',
    );
  }
  return { origin: originOf(address, tls === undefined ? 'http' : 'https'), close: () => closeServer(app) };
}

function create(options: HttpOptions): FastifyInstance {
  const { tls } = options;
  const common = {
    bodyLimit: HTTP_LIMITS.bodyBytes,
    requestTimeout: HTTP_LIMITS.requestMs,
    connectionTimeout: HTTP_LIMITS.idleMs,
    maxRequestsPerSocket: HTTP_LIMITS.requestsPerConnection,
  };
  const limits = {
    maxHeaderSize: HTTP_LIMITS.headerBytes,
    headersTimeout: HTTP_LIMITS.headersMs,
    connectionsCheckingInterval: CHECK_MS,
  };
  if (tls === undefined) return fastify({ ...common, http: limits });
  try {
    const https = {
      ...limits,
      cert: readFileSync(tls.certFile),
      key: tls.keyFile.text(),
      ca: readFileSync(tls.clientCaFile),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      handshakeTimeout: HTTP_LIMITS.headersMs,
    } as const;
    return fastify({ ...common, https });
  } catch (cause) {
    throw cannotListen(options, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function addRoutes(app: FastifyInstance, options: HttpOptions): void {
  const { health, metrics, status, bundles, filters = {}, story, events, schemas, routes } = options;
  addHealthMetrics(metrics, health);
  app.get('/livez', async (_, reply) => sendHealth(reply, await health.live()));
  app.get('/readyz', async (_, reply) => sendHealth(reply, await health.ready()));
  app.get('/healthz', async (_, reply) => sendHealth(reply, await health.report()));
  app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.get('/v1/status', async (_, reply) => reply.send(await status()));
  if (bundles !== undefined) {
    app.get('/v1/bundles', async (request, reply) => reply.send(await bundles(pageRequest(request.query, filters))));
  }
  if (story !== undefined) {
    app.get<{ Params: { id: string } }>('/v1/bundles/:id', async ({ params: { id } }, reply) => {
      const found = await story(id);
      if (found === undefined) throw new HttpProblem(404, 'There is no bundle of this id; /v1/bundles lists them.');
      return reply.send(found);
    });
  }
  if (events !== undefined) {
    app.get('/v1/overview', async (_, reply) => reply.send(await events.overview()));
    const limited = rateLimited(options.logger);
    const streams = new EventStreams(events.feed, events.overview, (error) => {
      limited.error({ err: error }, 'the streams of events could not be told how things are');
    });
    streams.install(app);
    addStreamMetrics(metrics, streams);
    installPage(app);
  }
  if (schemas !== undefined) {
    const title = options.title ?? 'sluice';
    const document = openApi({ title, schemas, filters, events: events !== undefined });
    app.get('/v1/openapi.json', async (_, reply) => reply.send(document));
  }
  routes?.(app);
}

/** Every check, so that one alert watches them all. Names of checks are ours, and those of channels and sites. */
function addHealthMetrics(metrics: Metrics, health: Health): void {
  metrics.gauge({
    name: 'sluice_health_check_status',
    help: 'Result of each check of /healthz: 0 pass, 1 warn, 2 fail.',
    labels: ['check'],
    collect: async (gauge) => {
      const { checks } = await health.report();
      gauge.reset();
      for (const [check, [{ status }]] of Object.entries(checks)) gauge.set({ check }, RANK[status]);
    },
  });
}

function addStreamMetrics(metrics: Metrics, streams: EventStreams): void {
  metrics.gauge({
    name: 'sluice_http_event_streams',
    help: 'Streams of events that are open.',
    collect: (gauge) => gauge.set(streams.open),
  });
}

const sendHealth = (reply: FastifyReply, report: HealthReport): FastifyReply =>
  reply
    .code(report.status === 'fail' ? 503 : 200)
    .type(HEALTH_TYPE)
    .send(escapeJson(JSON.stringify(report)));

const isLoopback = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address);

function cannotListen(
  { host = '127.0.0.1', port = 0, fd }: HttpOptions,
  why: string,
  cause?: unknown,
): OperationalError {
  const where = fd === undefined ? `${host} port ${String(port)}` : `file descriptor ${String(fd)}`;
  const message = `cannot listen on ${where} (${why}); free it or set another in the configuration.`;
  return new OperationalError('http-listen', message, { retryable: false, cause });
}

function listen(app: FastifyInstance, options: HttpOptions): Promise<AddressInfo> {
  const { host = '127.0.0.1', port = 0, fd } = options;
  return new Promise((resolve, reject) => {
    app.server.once('error', (cause) => reject(cannotListen(options, cause.message, cause)));
    app.server.listen(fd === undefined ? { host, port } : { fd }, () => {
      const address = app.server.address();
      if (typeof address === 'object' && address !== null) resolve(address);
      else reject(new Error('the HTTP socket has no internet address'));
    });
  });
}

const originOf = ({ address, port, family }: AddressInfo, scheme: 'http' | 'https'): string =>
  `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${String(port)}`;
