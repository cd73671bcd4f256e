import type { Logger, Shutdown } from '@sluice/base';
import type { TicketResult } from '@sluice/bundle';
import { askerOf, HttpProblem, startControl } from '@sluice/chassis';
import { loadTicketSigner, openPeerReader } from '@sluice/trust';
import type { ReceiverLedger } from '@sluice/ledger';
import type { ReceiverConfig } from './config.ts';
import { Gaps } from './gaps.ts';
import type { MissingBundles } from './missing.ts';
import type { ReceiverPipeline } from './pipeline.ts';
import { Tickets } from './tickets.ts';

export interface ControlParts {
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly pipeline: ReceiverPipeline;
  readonly missing: MissingBundles;
}

interface Asked {
  readonly bundle?: unknown;
  readonly draft?: unknown;
  readonly reason?: unknown;
}

/** The control socket, where tickets are switched on: `POST /v1/ticket/draft`, then `POST /v1/ticket` with what the draft was named. */
export async function startTickets(
  config: ReceiverConfig,
  { ledger, logger, shutdown, pipeline, missing }: ControlParts,
): Promise<void> {
  if (config.tickets === undefined) return;
  const { keyFile, spoolDirectory, controlSocket, controlMode } = config.tickets;
  const channels = config.channels.map(({ name }) => name);
  const gaps = new Gaps({ channels, open: () => pipeline.open, missing, ledger, spoolDirectory });
  const tickets = new Tickets({ gaps, ledger, logger, signer: loadTicketSigner(keyFile.text()) });
  const peer = await openPeerReader(config.control?.io ?? 'auto');
  const control = await startControl({
    socketPath: controlSocket,
    mode: Number.parseInt(controlMode, 8),
    logger,
    peer,
    routes: (app) => {
      app.post<{ Body: Asked }>('/v1/ticket/draft', async ({ body }, reply) => {
        return answer(reply, await tickets.draft(nameOf(body)));
      });
      app.post<{ Body: Asked }>('/v1/ticket', async (request, reply) => {
        const { body } = request;
        if (typeof body.draft !== 'string') throw new HttpProblem(400, 'draft is missing: a ticket is shown first');
        return answer(reply, await tickets.issue(nameOf(body), body.draft, askerOf(request, peer, body.reason)));
      });
    },
  });
  shutdown.add('control', () => control.close());
}

function nameOf({ bundle }: Asked): string | undefined {
  if (bundle === undefined || (typeof bundle === 'string' && bundle.length <= 100)) return bundle;
  throw new HttpProblem(400, 'bundle is no name of one');
}

const answer = (
  reply: { code(status: number): { send(body: unknown): unknown } },
  result: TicketResult<unknown>,
): unknown => (result.ok ? reply.code(200).send(result.value) : reply.code(409).send(result.error));
