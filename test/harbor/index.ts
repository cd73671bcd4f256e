import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Api } from './api.ts';
import { Doorkeeper } from './auth.ts';
import { answer, refuse, type Answering, type Exchange } from './exchange.ts';
import { Faults, type Fault } from './faults.ts';
import { placeOf, RegistryFront } from './registry.ts';
import { Replications } from './replication.ts';
import { State, type Account, type Policy } from './state.ts';

export type { Exchange } from './exchange.ts';
export type { Fault } from './faults.ts';
export type { Account, Policy } from './state.ts';

const KEPT_EXCHANGES = 5000;

export interface HarborOptions {
  /** Where the state is kept. */
  readonly dir: string;
  readonly name: string;
  /** Base url of the registry behind. */
  readonly registry: string;
  readonly credentials: readonly Account[];
  readonly port?: number;
}

/** A Harbor stand-in: Harbor's API in front of a plain registry. For tests and the demo only. */
export interface HarborStandIn {
  readonly name: string;
  readonly url: string;
  readonly host: string;
  readonly state: State;
  readonly exchanges: readonly Exchange[];
  readonly doorkeeper: Doorkeeper;
  readonly replications: Replications;
  readonly api: Api;
  fail(fault: Fault): void;
  clearFaults(): void;
  addPolicy(policy: Partial<Omit<Policy, 'id'>> & Pick<Policy, 'name' | 'destination'>): Policy;
  close(): Promise<void>;
}

class StandIn implements HarborStandIn {
  readonly name: string;
  readonly state: State;
  readonly exchanges: Exchange[] = [];
  readonly doorkeeper: Doorkeeper;
  readonly replications: Replications;
  readonly api: Api;
  readonly #front: RegistryFront;
  readonly #faults = new Faults();
  readonly #server: http.Server;

  constructor(options: HarborOptions) {
    this.name = options.name;
    this.state = new State(options.dir);
    this.doorkeeper = new Doorkeeper(options.credentials, this.state);
    this.replications = new Replications(this.state, options.registry);
    this.api = new Api(this.state, this.replications, this.doorkeeper);
    this.#front = new RegistryFront(this.state, options.registry);
    this.#server = http.createServer({ requestTimeout: 0 }, (request, response) => void this.#serve(request, response));
  }

  async listen(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.#server.once('error', reject).listen(port, '127.0.0.1', () => {
      resolve(undefined);
    });
    await promise;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get url(): string {
    return `http://${this.host}`;
  }

  fail(fault: Fault): void {
    this.#faults.add(fault);
  }
  clearFaults(): void {
    this.#faults.clear();
  }

  addPolicy(policy: Partial<Omit<Policy, 'id'>> & Pick<Policy, 'name' | 'destination'>): Policy {
    const defaults = { enabled: true, override: true, singleActive: true, filters: [] };
    const made: Policy = { ...defaults, ...policy, id: this.state.nextId() };
    this.state.policies.push(made);
    return made;
  }

  async close(): Promise<void> {
    this.replications.release();
    this.#front.close();
    this.#server.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#server.close(() => resolve(undefined));
    await promise;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stand-in');
    const method = request.method ?? '';
    const id = request.headers['x-request-id'];
    const scheme = request.headers.authorization?.split(' ')[0]?.toLowerCase();
    const exchange: Exchange = {
      method,
      path: request.url ?? '/',
      requestId: typeof id === 'string' ? id : undefined,
      authorization: scheme === 'basic' || scheme === 'bearer' ? scheme : 'none',
      cookie: request.headers.cookie !== undefined,
      request: undefined,
      status: 0,
      answer: undefined,
    };
    this.exchanges.push(exchange);
    if (this.exchanges.length > KEPT_EXCHANGES) this.exchanges.shift();
    response.setHeader('x-request-id', exchange.requestId ?? randomUUID());
    response.setHeader('set-cookie', `sid=${randomUUID()}; Path=/; HttpOnly`);
    const on = { request, response, method, path: pathname, query: searchParams, exchange };
    response.on('error', () => request.destroy());
    try {
      await this.#route(on);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else refuse(on, 502, 'UNKNOWN', (error as Error).message);
    }
  }

  async #route(on: Answering): Promise<void> {
    if (this.#faults.take(on)) return;
    const { path } = on;
    if (path === '/api/v2.0/ping') {
      answer(on, 200, 'Pong');
      return;
    }
    if (path === '/api/v2.0/health') {
      answer(on, 200, { status: 'healthy', components: [{ name: 'core', status: 'healthy' }] });
      return;
    }
    if (path === '/service/token') {
      this.doorkeeper.token(on);
      return;
    }
    // Who keeps a session cookie needs Harbor's CSRF token as well.
    if (on.exchange.cookie && on.method !== 'GET') {
      refuse(on, 403, 'FORBIDDEN', 'CSRF token invalid');
      return;
    }
    if (path.startsWith('/api/v2.0/')) {
      // Anyone may ask what system this is, and learns less than an account does.
      if (path !== '/api/v2.0/systeminfo' && !this.doorkeeper.admitsApi(on)) return;
      return this.api.handle(on, path.slice('/api/v2.0'.length));
    }
    if (path === '/v2/' || path === '/v2') {
      if (this.doorkeeper.admitsRegistry(on, undefined))
        answer(on, 200, {}, { 'docker-distribution-api-version': 'registry/2.0' });
      return;
    }
    const place = placeOf(path);
    if (place === undefined) {
      refuse(on, 404, 'NOT_FOUND', `${path} not found`);
      return;
    }
    if (this.doorkeeper.admitsRegistry(on, place.repository)) await this.#front.handle(on, place);
  }
}

export async function startHarbor(options: HarborOptions): Promise<HarborStandIn> {
  const standIn = new StandIn(options);
  await standIn.listen(options.port ?? 0);
  return standIn;
}
