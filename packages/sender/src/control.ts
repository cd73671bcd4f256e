import { Readable } from 'node:stream';
import type { Logger, Shutdown } from '@sluice/base';
import { addRoutes, askerOf, type AskRoutes, HttpProblem, startControl } from '@sluice/chassis';
import type { SenderLedger } from '@sluice/ledger';
import { OperationalError } from '@sluice/ports';
import type { Intake, ReceptionPlaces, Submission } from '@sluice/sources';
import { openPeerReader } from '@sluice/trust';
import type { SenderConfig } from './config.ts';
import type { LinkKeys } from './link-keys.ts';
import { exportMedia, type MediaParts } from './media/export.ts';
import type { MediaWish } from './media/plan.ts';
import type { PipelineParts } from './pipeline.ts';
import type { Repairs } from './repairs.ts';
import { restoredRoutes } from './restored.ts';

export interface ControlParts {
  readonly intakes: ReadonlyMap<string, Intake>;
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly pipeline: PipelineParts;
  readonly repairs: Repairs;
  readonly linkKeys: LinkKeys;
  readonly media: MediaParts;
}

interface ExportAsked {
  readonly bundle?: unknown;
  readonly partBytes?: unknown;
  readonly spareParts?: unknown;
  readonly reason?: unknown;
}

/** Shortest file of an export, and most of them that none is to need: a block of one symbol is sent four times. */
const PART_LEAST = 65_536;
const SPARE_MOST = 3;
const NAME = /^[\w.@+-][\w.@+ -]{0,99}$/;

/**
 * The control socket. `POST /v1/submit?channel=NAME&name=NAME` with a tar of the bundle directory: the caller streams what
 * it can read, the daemon opens no path that it was given. `POST /v1/repair` with `{"ticket": TEXT}`. `POST /v1/export` with
 * `{"bundle": NAME, "partBytes": BYTES, "spareParts": NUMBER}`: a line of JSON, then the datagrams for the caller to write.
 */
export async function startControlSocket(
  config: SenderConfig,
  { intakes, ledger, linkKeys, logger, shutdown, pipeline, repairs, media }: ControlParts,
): Promise<void> {
  const peer = await openPeerReader(config.link.io);
  const control = await startControl({
    socketPath: config.controlSocket,
    mode: Number.parseInt(config.controlMode, 8),
    users: config.controlUsers,
    logger,
    peer,
    routes: (app) => {
      app.post<{ Body: { readonly ticket?: unknown; readonly reason?: unknown } }>(
        '/v1/repair',
        async (request, reply) => {
          const { ticket, reason } = request.body;
          if (typeof ticket !== 'string') throw new HttpProblem(400, 'ticket is missing.');
          const result = await repairs.serve(ticket, askerOf(request, peer, reason));
          return result.ok ? reply.send(result.value) : reply.code(422).send(result.error);
        },
      );
      addRoutes(app, { ...linkKeyRoutes(linkKeys), ...restoredRoutes(config, ledger, logger) }, peer);
      addExport(app, peer, media, logger);
      app.post<{ Querystring: { channel?: string; name?: string; reason?: string }; Body: Readable }>(
        '/v1/submit',
        async (request, reply) => {
          const { channel = only(config), name = 'submission', reason } = request.query;
          const asker = askerOf(request, peer, reason);
          const intake = intakes.get(channel);
          if (intake === undefined)
            throw new HttpProblem(
              404,
              `There is no channel "${channel}"; channels are ${[...intakes.keys()].join(', ')}.`,
            );
          if (!NAME.test(name))
            throw new HttpProblem(400, 'name holds characters that a submission may not be named with.');
          let kept = false;
          const filled = (): void => {
            kept = true;
          };
          // Left open when it is not read to its end: the refusal goes back by the same connection.
          const stream = request.body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
          const fill = (places: ReceptionPlaces, submission: Submission) =>
            pipeline.intake.receive(stream, places, submission);
          const outcome = await intake.receive(name, fill, filled).catch((error: unknown) => unavailable(error, kept));
          const record = (came: Readonly<Record<string, unknown>>): void => {
            ledger.control.done('submit', channel, asker, { name, ...came });
          };
          if ('code' in outcome) {
            record({ status: outcome.status, code: outcome.code });
            return reply.code(503).send(outcome);
          }
          if (!outcome.ok) {
            record({ status: 'refused', code: outcome.error.code });
            return reply.code(422).send({ status: 'refused', ...outcome.error });
          }
          const { sequence, id } = ledger.head(channel);
          record({ status: 'sealed', sequence, bundle: id });
          return reply.send({ status: 'sealed', channel, sequence, bundle: id });
        },
      );
    },
  });
  shutdown.add('control', () => control.close());
}

/** Which key tags the datagrams of a channel. */
const linkKeyRoutes = (linkKeys: LinkKeys): AskRoutes => ({
  '/v1/keys': { reason: 'free', answer: () => ({ ok: true, value: { keys: linkKeys.list() } }) },
  '/v1/keys/switch': {
    reason: 'needed',
    answer: ({ channel }, asker) => linkKeys.switch(typeof channel === 'string' ? channel : '', asker),
  },
});

type Peers = Parameters<typeof askerOf>[1];

/** A bundle as files for a person to carry. */
function addExport(app: Parameters<typeof addRoutes>[0], peer: Peers, media: MediaParts, logger: Logger): void {
  app.post<{ Body: ExportAsked }>('/v1/export', async (request, reply) => {
    const { name, wish } = exportAsked(request.body);
    const asker = askerOf(request, peer, request.body.reason);
    const { head, records } = await exportMedia(name, wish, media, asker);
    logger.info({ bundle: head.bundle, session: head.tsi, parts: head.parts }, 'bundle exported');
    reply.type('application/octet-stream');
    return reply.send(Readable.from(stream(head, records)));
  });
}

function exportAsked({ bundle, partBytes, spareParts }: ExportAsked): {
  readonly name: string;
  readonly wish: MediaWish;
} {
  if (typeof bundle !== 'string' || bundle.length > 200) throw new HttpProblem(400, 'bundle is missing.');
  if (typeof partBytes !== 'number' || !(partBytes >= PART_LEAST && partBytes <= Number.MAX_SAFE_INTEGER))
    throw new HttpProblem(400, `partBytes is no number of bytes from ${String(PART_LEAST)} on.`);
  if (typeof spareParts !== 'number' || !Number.isInteger(spareParts) || spareParts < 0 || spareParts > SPARE_MOST)
    throw new HttpProblem(400, `spareParts is no number from 0 to ${String(SPARE_MOST)}.`);
  return { name: bundle, wish: { partBytes, spareParts } };
}

async function* stream(head: object, records: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${JSON.stringify(head)}\n`);
  yield* records;
}

/** The world failed. What has come whole is kept and tried again: handing it over once more would send it twice. */
function unavailable(
  error: unknown,
  kept: boolean,
): { readonly status: string; readonly code: string; readonly detail: string } {
  if (!(error instanceof OperationalError)) throw error;
  return { status: kept ? 'waiting' : 'failed', code: error.code, detail: error.message };
}

const only = ({ channels }: SenderConfig): string => (channels.length === 1 ? (channels[0]?.name ?? '') : '');
