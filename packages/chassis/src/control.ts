import type { Socket } from 'node:net';
import { listenUnix, type Logger, type SocketAccess } from '@sluice/base';
import { fastify, type FastifyInstance } from 'fastify';
import { closeServer } from './close.ts';
import { installProblems, sendProblem } from './problem.ts';

/** Limits of the control socket. */
export const CONTROL_LIMITS = {
  headerBytes: 16_384,
  /** Of JSON bodies; every other body is a stream that its route bounds. */
  jsonBytes: 1024 * 1024,
  headersMs: 5000,
  /** Without a byte either way. A whole upload may take as long as it takes. */
  idleMs: 300_000,
  connections: 16,
  /** How long the rest of a request is read that was answered before its end. */
  lingerMs: 5000,
} as const;

export interface ControlOptions extends SocketAccess {
  readonly socketPath: string;
  readonly logger: Logger;
  /**
   * Adds the routes. `application/json` bodies arrive parsed; any other body is `request.body`, a Readable that the
   * route consumes and bounds.
   */
  readonly routes: (app: FastifyInstance) => void;
  /** Looks at the peer of a connection, where the platform can tell; gives the sentence of a refusal (403). */
  readonly authorize?: (socket: Socket) => string | undefined;
}

/**
 * The control socket: HTTP on a Unix socket whose file mode and group say who may.
 * @throws OperationalError of `listenUnix`
 */
export async function startControl(options: ControlOptions): Promise<{ close(): Promise<void> }> {
  const { authorize } = options;
  const app = fastify({
    bodyLimit: CONTROL_LIMITS.jsonBytes,
    connectionTimeout: CONTROL_LIMITS.idleMs,
    http: { maxHeaderSize: CONTROL_LIMITS.headerBytes, headersTimeout: CONTROL_LIMITS.headersMs },
  });
  app.server.maxConnections = CONTROL_LIMITS.connections;
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload);
  });
  app.addHook('onRequest', async (request, reply) => {
    const refusal = authorize?.(request.raw.socket);
    return refusal === undefined ? undefined : sendProblem(reply, 403, refusal);
  });
  // Who is answered before all was read still sends: the rest is read and thrown away for a while, since an answer does not
  // survive a connection that breaks, and an unread one would never end.
  app.addHook('onResponse', async ({ raw }) => {
    if (!raw.complete) {
      raw.resume();
      const end = (): void => {
        if (!raw.complete) raw.destroy();
      };
      setTimeout(end, CONTROL_LIMITS.lingerMs).unref();
    }
    return Promise.resolve();
  });
  installProblems(app, options.logger);
  options.routes(app);
  await app.ready();
  await listenUnix(app.server, options.socketPath, options);
  return { close: () => closeServer(app) };
}
