import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { listenUnix, type Logger, type SocketAccess } from '@sluice/base';
import { fastify, type FastifyInstance } from 'fastify';
import { closeServer } from './close.ts';
import { HttpProblem, installProblems, sendProblem } from './problem.ts';

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
  /** Looks at the other end of a connection; undefined where the platform cannot tell. */
  readonly peer?: (socket: Socket) => { readonly uid: number } | undefined;
  /** Users who may, besides root and the daemon's own; without it, whoever may open the socket. */
  readonly users?: readonly number[] | undefined;
}

/** Who asked, and why: as it stands in the ledger. */
export interface Asker {
  /** By the kernel's word; null where it cannot be asked. */
  readonly uid: number | null;
  readonly reason: string | null;
}

/** Longest reason. */
const REASON_MAX = 500;

/** Who sent a request. @throws HttpProblem when the reason is none, or is missing where one is needed */
export function askerOf(
  { raw: { socket } }: { readonly raw: { readonly socket: Socket } },
  peer: ControlOptions['peer'],
  reason: unknown,
  needed: 'needed' | 'free' = 'free',
): Asker {
  const given = typeof reason === 'string' ? reason.trim() : '';
  if (given === '' && needed === 'needed') throw new HttpProblem(400, 'reason is missing: it goes into the ledger.');
  if (given.length > REASON_MAX || /\p{Cc}/u.test(given) || !given.isWellFormed())
    throw new HttpProblem(400, `reason is no text of one line and at most ${String(REASON_MAX)} characters.`);
  return { uid: peer?.(socket)?.uid ?? null, reason: given === '' ? null : given };
}

/** What a person may ask for, by path: POST with a JSON object. */
export type AskRoutes = Readonly<
  Record<
    string,
    {
      readonly reason: 'needed' | 'free';
      readonly answer: (body: Readonly<Record<string, unknown>>, asker: Asker) => Answer | Promise<Answer>;
    }
  >
>;
type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: { readonly code: string; readonly detail: string } };

/** Serves them: what is refused is answered with 409, code and sentence. */
export function addRoutes(app: FastifyInstance, routes: AskRoutes, peer: ControlOptions['peer']): void {
  for (const [path, { reason, answer }] of Object.entries(routes)) {
    app.post<{ Body: unknown }>(path, async (request, reply) => {
      const { body } = request;
      if (typeof body !== 'object' || body === null || body instanceof Readable)
        throw new HttpProblem(400, 'The body is no JSON object.');
      const fields = body as Readonly<Record<string, unknown>>;
      const result = await answer(fields, askerOf(request, peer, fields.reason, reason));
      return result.ok ? reply.send(result.value) : reply.code(409).send(result.error);
    });
  }
}

/** The sentence of a refusal, for a caller who is none of the users. */
function refusalOf(socket: Socket, { peer, users }: ControlOptions): string | undefined {
  if (users === undefined) return undefined;
  const uid = peer?.(socket)?.uid;
  if (uid === undefined) return 'Who you are cannot be told here, and this socket is for certain users only.';
  if (uid === 0 || uid === process.getuid?.() || users.includes(uid)) return undefined;
  return `User ${String(uid)} is none of those who may use this socket.`;
}

/**
 * The control socket: HTTP on a Unix socket whose file mode and group say who may.
 * @throws OperationalError of `listenUnix`
 */
export async function startControl(options: ControlOptions): Promise<{ close(): Promise<void> }> {
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
    const refusal = refusalOf(request.raw.socket, options);
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
