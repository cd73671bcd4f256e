import type { FastifyInstance } from 'fastify';

/** Requests that are still open by then are cut off. */
const CLOSE_GRACE_MS = 2000;

/** Takes no new connections, lets open requests finish, but not for ever. */
export async function closeServer(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => {
    app.server.closeAllConnections();
  }, CLOSE_GRACE_MS);
  await app.close();
  clearTimeout(timer);
}
