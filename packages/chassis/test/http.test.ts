import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { createServer, connect, type Socket } from 'node:net';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { createJsonLogger } from '@sluice/base';
import { afterEach, describe, expect, it } from 'vitest';
import {
  CONTROL_LIMITS,
  createHealth,
  createMetrics,
  HTTP_LIMITS,
  HttpProblem,
  startControl,
  startHttp,
} from '../src/index.ts';
import type { ControlOptions, HttpOptions, HttpServer, PageRequest } from '../src/index.ts';

const lines: string[] = [];
const logger = createJsonLogger('test', { write: (line) => lines.push(line) });
const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  lines.length = 0;
  for (const close of closers.splice(0).reverse()) await close();
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}
interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Readable;
  readonly socketPath?: string;
}
async function ask(
  origin: string,
  path: string,
  { method = 'GET', headers = {}, body, socketPath }: Ask = {},
): Promise<Answer> {
  const where = socketPath === undefined ? { port: new URL(origin).port, host: '127.0.0.1' } : { socketPath };
  const sent = request({ ...where, path, method, headers, agent: false });
  if (body instanceof Readable) body.pipe(sent);
  else sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const { statusCode: status = 0, headers: got } = response;
  return { status, type: got['content-type'] ?? '', body: await text(response), headers: got };
}

async function serve(options: Partial<HttpOptions> = {}): Promise<HttpServer & { readonly pages: PageRequest[] }> {
  const pages: PageRequest[] = [];
  const health = createHealth({ description: 'test' });
  health.add({ name: 'link:freshness', check: () => ({ status: 'fail', output: 'dark' }) });
  const server = await startHttp({
    health,
    metrics: createMetrics(),
    logger,
    status: () => ({ state: 'idle' }),
    bundles: (page) => {
      pages.push(page);
      return { items: [{ id: 'a' }], next: 'c2' };
    },
    ...options,
  });
  closers.push(() => server.close());
  return { ...server, pages };
}

describe('the read-only port', () => {
  it('answers health, metrics, status and bundles', async () => {
    const { origin, pages } = await serve();
    const [live, ready, health] = await Promise.all(['/livez', '/readyz', '/healthz'].map((path) => ask(origin, path)));
    expect([live?.status, ready?.status, health?.status]).toEqual([200, 200, 503]);
    expect(health?.type).toMatch(/^application\/health\+json/);
    expect(JSON.parse(health?.body ?? '')).toMatchObject({ status: 'fail', output: 'link:freshness: dark' });
    expect(await ask(origin, '/metrics')).toMatchObject({
      status: 200,
      type: expect.stringMatching(/^text\/plain; version=0\.0\.4/) as string,
    });
    expect(await ask(origin, '/v1/status')).toMatchObject({
      status: 200,
      body: '{"state":"idle"}',
      headers: { 'cache-control': 'no-store' },
    });
    expect(await ask(origin, '/v1/bundles?limit=7&cursor=abc')).toMatchObject({
      body: '{"items":[{"id":"a"}],"next":"c2"}',
    });
    await ask(origin, '/v1/bundles');
    expect(pages).toEqual([
      { limit: 7, cursor: 'abc', filters: {} },
      { limit: 50, cursor: undefined, filters: {} },
    ]);
    expect(await ask(origin, '/v1/status', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });

  it('answers hostile text by value, and in no character that a terminal obeys', async () => {
    const name = '<img src=x onerror=alert(1)>\u001b[31m\u202egpj\u009b2J';
    const { origin } = await serve({ bundles: () => ({ items: [{ name }] }) });
    const { body, type } = await ask(origin, '/v1/bundles');
    expect(body).not.toMatch(/[^\u0020-\u007e]/);
    expect(JSON.parse(body)).toEqual({ items: [{ name }] });
    expect(type).toMatch(/^application\/json/);
    const missing = await ask(origin, `/${encodeURIComponent('\u202e')}\u009b`);
    expect(missing.body).not.toMatch(/[^\u0020-\u007e]/);
  });

  it.each([
    'limit=0',
    'limit=201',
    'limit=x',
    'limit=1&limit=2',
    'cursor=',
    'cursor=%2Fetc',
    `cursor=${'a'.repeat(129)}`,
    'page=2',
  ])('refuses the query %s', async (query) => {
    const { origin, pages } = await serve();
    const answer = await ask(origin, `/v1/bundles?${query}`);
    expect(answer).toMatchObject({ status: 400, type: expect.stringMatching(/^application\/problem\+json/) as string });
    expect(pages).toEqual([]);
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('refuses %s', async (method) => {
    const { origin } = await serve();
    for (const path of ['/v1/status', '/nothing']) {
      expect(await ask(origin, path, { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    }
  });

  it('has no route that writes', async () => {
    await expect(serve({ routes: (app) => app.post('/x', () => 'no') })).rejects.toThrow(/read-only/);
  });

  it.each(['evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', ' '])(
    'refuses the Host header "%s" on loopback',
    async (host) => {
      const { origin } = await serve();
      expect(await ask(origin, '/livez', { headers: { host } })).toMatchObject({ status: 421 });
    },
  );

  it.each(['localhost', 'LOCALHOST:9', '127.0.0.1:1234', '[::1]:80'])('takes the Host header "%s"', async (host) => {
    const { origin } = await serve();
    expect(await ask(origin, '/livez', { headers: { host } })).toMatchObject({ status: 200 });
  });

  it('tells of what it does not have, and keeps its own errors inside', async () => {
    const { origin } = await serve({
      bundles: () => Promise.reject(new Error('secret path')),
      routes: (app) => {
        app.get('/busy', () => Promise.reject(new HttpProblem(503, 'Come back later.')));
      },
    });
    expect(await ask(origin, '/nothing')).toMatchObject({ status: 404 });
    const answer = await ask(origin, '/v1/bundles');
    expect(answer.status).toBe(500);
    expect(answer.body).not.toContain('secret path');
    expect(lines.join('')).toContain('secret path');
    expect(await ask(origin, '/busy')).toMatchObject({
      status: 503,
      body: '{"status":503,"title":"Service Unavailable","detail":"Come back later."}',
    });
  });

  it('refuses headers beyond its limit', async () => {
    const { origin } = await serve();
    expect(await ask(origin, '/livez', { headers: { x: 'y'.repeat(HTTP_LIMITS.headerBytes) } })).toMatchObject({
      status: 431,
    });
  });

  it('names the address that is taken', async () => {
    const { origin } = await serve();
    const port = Number(new URL(origin).port);
    await expect(serve({ port })).rejects.toMatchObject({
      code: 'http-listen',
      message: expect.stringContaining(`127.0.0.1 port ${port}`) as string,
    });
  });

  it('listens on a socket that was handed in', async () => {
    const given = createServer();
    given.listen(0, '127.0.0.1');
    await once(given, 'listening');
    const { _handle: handle } = given as unknown as { _handle: { fd: number } };
    const child = spawn(process.execPath, [join(import.meta.dirname, 'handed-in.ts')], {
      stdio: ['ignore', 'pipe', 'inherit', handle.fd],
      env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'http' },
    });
    if (child.stdout === null) throw new Error('no pipe');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    given.close();
    const origin = line.toString().trim();
    expect(await ask(origin, '/healthz')).toMatchObject({ body: '{"status":"pass","description":"http","checks":{}}' });
    expect(await ask(origin, '/livez', { headers: { host: 'evil.example' } })).toMatchObject({ status: 421 });
    child.kill();
    await once(child, 'close');
  });
});

async function control(options: Partial<ControlOptions> = {}): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-control-'));
  closers.push(() => {
    rmSync(directory, { recursive: true });
  });
  const socketPath = join(directory, 'control');
  const server = await startControl({
    socketPath,
    mode: 0o660,
    logger,
    routes: (app) => {
      app.post('/v1/echo', (request) => ({ got: request.body }));
      app.put('/v1/upload', async (request) => {
        let bytes = 0;
        for await (const chunk of request.body as AsyncIterable<Buffer>) bytes += chunk.length;
        return { bytes };
      });
    },
    ...options,
  });
  closers.push(() => server.close());
  return socketPath;
}

const written = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.write(bytes, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });

describe('the control socket', () => {
  it('reads on for a while after an answer that came early, and then no more', { timeout: 60_000 }, async () => {
    const socketPath = await control({
      routes: (app) => {
        app.put('/v1/no', async ({ body }, reply) => {
          // Some of it is looked at, and that is enough.
          const pieces = (body as Readable).iterator({ destroyOnReturn: false });
          await pieces.next();
          await pieces.return?.();
          return reply.code(422).send({ no: true });
        });
      },
    });
    const head = (length: number): string =>
      `PUT /v1/no HTTP/1.1\r\nhost: x\r\ncontent-type: x/y\r\ncontent-length: ${length}\r\n\r\n`;
    const chunk = Buffer.alloc(64 * 1024);
    const put = async (length: number): Promise<Socket> => {
      const socket = connect(socketPath);
      socket.on('error', () => undefined).write(head(length));
      socket.write(chunk);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 422/);
      return socket;
    };
    // More than any buffer holds, sent after the answer: all of it is taken off.
    const whole = await put(65 * chunk.length);
    for (let sent = 0; sent < 64; sent += 1) await written(whole, chunk);
    whole.destroy();
    // What never ends is ended.
    const endless = await put(2 ** 40);
    endless.write(chunk);
    await once(endless, 'close');
  });

  it('has its mode, and takes JSON parsed', async () => {
    const socketPath = await control();
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
    const headers = { 'content-type': 'application/json' };
    expect(await ask('', '/v1/echo', { socketPath, method: 'POST', headers, body: '{"a":1}' })).toMatchObject({
      status: 200,
      body: '{"got":{"a":1}}',
    });
    expect(await ask('', '/v1/echo', { socketPath, method: 'POST', headers, body: '{"a":' })).toMatchObject({
      status: 400,
    });
    const long = { ...headers, 'content-length': String(CONTROL_LIMITS.jsonBytes + 1) };
    expect(await ask('', '/v1/echo', { socketPath, method: 'POST', headers: long })).toMatchObject({ status: 413 });
  });

  it('streams every other body to its route, however long', async () => {
    const socketPath = await control();
    const chunk = Buffer.alloc(65_536);
    const body = Readable.from(Array.from({ length: 64 }, () => chunk));
    const headers = { 'content-type': 'application/octet-stream' };
    expect(await ask('', '/v1/upload', { socketPath, method: 'PUT', headers, body })).toMatchObject({
      body: `{"bytes":${64 * 65_536}}`,
    });
    expect(
      await ask('', '/v1/upload', {
        socketPath,
        method: 'PUT',
        headers: { 'content-type': 'text/plain' },
        body: 'abc',
      }),
    ).toMatchObject({ body: '{"bytes":3}' });
  });

  it('refuses a peer that is none of its users, and everybody where it cannot be told who asks', async () => {
    const [me, other] = [process.getuid?.() ?? 0, 54_321];
    const status = async (options: Partial<ControlOptions>): Promise<number> => {
      const socketPath = await control(options);
      const headers = { 'content-type': 'application/json' };
      return (await ask('', '/v1/echo', { socketPath, method: 'POST', headers, body: '{}' })).status;
    };
    expect(await status({ users: [], peer: () => ({ uid: other }) })).toBe(403);
    expect(await status({ users: [other], peer: () => undefined })).toBe(403);
    expect(await status({ users: [other], peer: () => ({ uid: other }) })).toBe(200);
    for (const uid of [0, me]) expect(await status({ users: [], peer: () => ({ uid }) })).toBe(200);
  });

  it('does not take the socket of a running service', async () => {
    const socketPath = await control();
    await expect(control({ socketPath })).rejects.toMatchObject({ code: 'socket-in-use' });
  });
});
