import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import {
  failure,
  openHarbor,
  openRegistry,
  openTransport,
  parseChallenge,
  printable,
  RegistryError,
  type Answer,
} from '../src/index.ts';

let server: http.Server | undefined;
const seen: IncomingMessage[] = [];

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  seen.length = 0;
  server = http.createServer((request, response) => {
    seen.push(request);
    request.resume();
    handle(request, response);
  });
  const { promise, resolve } = Promise.withResolvers<undefined>();
  server.listen(0, '127.0.0.1', () => {
    resolve(undefined);
  });
  await promise;
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error: unknown = await promise.then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  return error instanceof RegistryError ? `${error.code} ${error.failureClass}` : String(error);
};

const error = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] });

function answerOf(status: number, body: string, headers: Answer['headers'] = {}, path = '/v2/p/r/manifests/x'): Answer {
  return { status, headers, body: Buffer.from(body), path, requestId: 'id' };
}

describe('retry classes', () => {
  const quota =
    'adding 1 B of storage resource, which when updated to current usage of 2 B will exceed the configured upper limit of 2 B.';
  const cases: [Answer, string][] = [
    [
      answerOf(401, error('UNAUTHORIZED', 'project x not found'), { 'www-authenticate': '' }),
      'harbor-project-missing operator',
    ],
    [answerOf(401, '', { 'www-authenticate': 'Basic realm="harbor"' }), 'harbor-unauthorized operator'],
    [answerOf(401, '', {}, '/api/v2.0/projects'), 'harbor-unauthorized operator'],
    [answerOf(403, error('DENIED', quota)), 'harbor-quota operator'],
    [answerOf(403, error('DENIED', 'The system is in read only mode.')), 'registry-read-only transient'],
    [answerOf(403, error('FORBIDDEN', 'no')), 'harbor-forbidden operator'],
    [answerOf(404, error('BLOB_UPLOAD_INVALID', '')), 'registry-upload-lost transient'],
    [answerOf(404, error('NOT_FOUND', 'the asking blob is in GC, mark it as non existing')), 'registry-gc transient'],
    [answerOf(404, error('NOT_FOUND', 'nothing')), 'registry-not-found operator'],
    [answerOf(400, error('DIGEST_INVALID', '')), 'registry-digest-invalid fatal'],
    [answerOf(400, error('MANIFEST_INVALID', '')), 'registry-manifest-invalid fatal'],
    [answerOf(400, error('MANIFEST_BLOB_UNKNOWN', '')), 'registry-blob-unknown transient'],
    [answerOf(412, error('PRECONDITION', "'r:t' configured as immutable.")), 'harbor-immutable-tag operator'],
    [answerOf(412, error('PROJECTPOLICYVIOLATION', 'not signed')), 'harbor-policy operator'],
    [answerOf(413, '<html>'), 'registry-too-large fatal'],
    [answerOf(409, ''), 'registry-conflict transient'],
    [answerOf(302, ''), 'registry-redirect operator'],
    ...[408, 425, 429, 500, 502, 503, 504].map((status): [Answer, string] => [
      answerOf(status, ''),
      'registry-unavailable transient',
    ]),
  ];
  it.each(cases)('%#', (answer, expected) => {
    const made = failure(answer, 'pushing');
    expect(`${made.code} ${made.failureClass}`).toBe(expected);
    expect(made.retryable).toBe(!expected.endsWith('fatal'));
  });

  it('cuts and cleans hostile text', () => {
    const text = failure(answerOf(400, error('X\u001b[31m', `a\u0000\u202e${'b'.repeat(5000)}`)), 'pushing').message;
    expect(text.length).toBeLessThan(400);
    expect(text).not.toMatch(/[\p{C}]/u);
    expect(printable('\u2028ok', 10)).toBe('\\u2028ok');
  });
});

describe('transport', () => {
  it('names its requests, sends no cookie back and follows no redirect', async () => {
    const url = await serve((request, response) => {
      const status = request.url === '/v2/' ? 307 : 200;
      response.writeHead(status, { 'set-cookie': 'sid=1', location: 'http://127.0.0.1:1/' }).end();
    });
    const registry = openRegistry({ url, credentials: { username: 'robot$a', password: 'b:c' } });
    expect(await codeOf(registry.ping())).toBe('registry-redirect operator');
    await codeOf(registry.ping());
    expect(seen).toHaveLength(2);
    for (const { headers } of seen) {
      expect(headers.cookie).toBeUndefined();
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers.authorization).toBe(`Basic ${Buffer.from('robot$a:b:c').toString('base64')}`);
    }
    registry.close();
  });

  it('gives up on a silent server, a dripping one and a closed port', async () => {
    const url = await serve((request, response) => {
      if (request.url !== '/drip') return;
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'), 10);
      response.on('close', () => clearInterval(timer));
    });
    const transport = openTransport({ url, timeouts: { idleMs: 50, requestMs: 200 } });
    expect(await codeOf(transport.ask({ method: 'GET', path: '/silent' }))).toBe('registry-timeout transient');
    expect(await codeOf(transport.ask({ method: 'GET', path: '/drip' }))).toBe('registry-timeout transient');
    transport.close();
    server?.closeAllConnections();
    server?.close();
    const closed = openTransport({ url });
    expect(await codeOf(closed.ask({ method: 'GET', path: '/' }))).toBe('registry-unreachable transient');
    closed.close();
  });

  it('bounds what it reads', async () => {
    const big = 'x'.repeat(200_000);
    const url = await serve((request, response) => {
      response.writeHead(request.url === '/bad' ? 500 : 200).end(big);
    });
    const transport = openTransport({ url });
    expect(await codeOf(transport.ask({ method: 'GET', path: '/', limit: 1000 }))).toBe(
      'registry-answer-malformed transient',
    );
    expect((await transport.ask({ method: 'GET', path: '/bad' })).body).toHaveLength(64 * 1024);
    transport.close();
  });

  it('takes an early answer for an upload that is still being sent', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(403, { 'content-type': 'application/json' }).end(error('DENIED', 'quota'));
    });
    let produced = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; produced < 10_000; produced++) yield await Promise.resolve(new Uint8Array(65536));
    }
    const transport = openTransport({ url });
    const answer = await transport.ask({ method: 'PUT', path: '/', body: { size: 655_360_000, bytes: endless() } });
    expect(answer.status).toBe(403);
    expect(produced).toBeLessThan(10_000);
    transport.close();
  });
});

describe('tokens', () => {
  it('reads challenges', () => {
    const header = 'Bearer realm="https://h/service/token",service="harbor-registry",scope="repository:a/b:pull,push"';
    expect(parseChallenge(header)).toEqual({
      scheme: 'bearer',
      parameters: { realm: 'https://h/service/token', service: 'harbor-registry', scope: 'repository:a/b:pull,push' },
    });
    for (const bad of [undefined, '', '   ', '"', `Bearer ${'x'.repeat(5000)}`])
      expect(parseChallenge(bad)).toBeUndefined();
  });

  it('does not send credentials to a host that a challenge names', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://127.0.0.1:1/token"' }).end();
    });
    const registry = openRegistry({ url, credentials: { username: 'a', password: 'b' } });
    expect(await codeOf(registry.blobSize('p/r', `sha256:${'0'.repeat(64)}`))).toBe('registry-token-realm operator');
    registry.close();
  });

  it('refuses a Harbor answer that is not JSON', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>');
    });
    const harbor = openHarbor({ url });
    expect(await codeOf(harbor.systemInfo())).toBe('registry-answer-malformed transient');
    harbor.close();
  });
});
