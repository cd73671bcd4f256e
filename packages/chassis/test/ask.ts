import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createJsonLogger } from '@sluice/base';
import { onTestFinished } from 'vitest';
import { createHealth, createMetrics, type HttpOptions, type HttpServer, startHttp } from '../src/index.ts';

/** The read-only port of a daemon that is well; it goes away with the test. */
export async function serve(options: Partial<HttpOptions> = {}): Promise<HttpServer & { readonly port: number }> {
  const server = await startHttp({
    health: createHealth({ description: 'test' }),
    metrics: createMetrics(),
    logger: createJsonLogger('test', { write: () => undefined }),
    status: () => ({ state: 'idle' }),
    ...options,
  });
  onTestFinished(() => server.close());
  return { ...server, port: Number(new URL(server.origin).port) };
}

/** The head of an answer; its body is left to the caller. */
export async function head(
  port: number,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ readonly response: IncomingMessage; readonly sent: ClientRequest }> {
  const sent = request({ host: '127.0.0.1', port, path, headers, agent: false }).end();
  onTestFinished(() => void sent.destroy());
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return { response, sent };
}
