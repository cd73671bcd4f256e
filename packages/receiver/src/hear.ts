import type { Logger } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import { type LinkAlarm, type LinkToReceiver, OperationalError } from '@sluice/ports';
import { parseHeartbeat } from './heartbeat.ts';
import type { Histories } from './history.ts';
import type { LinkState } from './link-state.ts';
import type { MissingBundles } from './missing.ts';
import type { ReceiverPipeline } from './pipeline.ts';
import { STATEMENT_TYPE } from './statements.ts';

export interface HearParts {
  readonly histories: Histories;
  readonly missing: MissingBundles;
  readonly pipeline: ReceiverPipeline;
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly logger: Logger;
  readonly channels: { readonly has: (name: string) => boolean };
  /** Link connected, and has said what it has. */
  readonly onHello?: () => void;
  /** For what is said again and again while it lasts. */
  readonly limited?: Logger;
  /** Symbols to spare of the worst block of an object. */
  readonly onMargin?: (symbols: number) => void;
  readonly onAlarm?: (code: LinkAlarm) => void;
}

/**
 * What the receiver does about each message of link. What cannot be written down is let go: heartbeats and histories come
 * again, whole objects are named again, and check `ledger:writes` says it.
 */
export async function hear(message: LinkToReceiver, parts: HearParts): Promise<void> {
  const isNew = parts.ledger.fault === undefined;
  try {
    await obey(message, parts);
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    if (isNew) parts.logger.error({ code: error.code, err: error }, 'what link says cannot be written down');
  }
}

async function obey(
  message: LinkToReceiver,
  {
    pipeline,
    histories,
    missing,
    ledger,
    link,
    logger,
    limited = logger,
    channels,
    onHello,
    onMargin,
    onAlarm,
  }: HearParts,
): Promise<void> {
  switch (message.type) {
    case 'hello':
      pipeline.linkConnected();
      link.hello(message);
      onHello?.();
      logger.info({ io: message.io, receiveBuffer: message.receiveBuffer, session: message.tsi }, 'link connected');
      break;
    case 'object':
      link.object(message.key);
      if (!(await histories.take(message))) await pipeline.object(message);
      if (message.contentType === STATEMENT_TYPE) missing.look(message.channel);
      break;
    case 'heartbeat': {
      const heartbeat = channels.has(message.channel) ? parseHeartbeat(message.body) : undefined;
      if (heartbeat === undefined) break;
      ledger.announce(message.channel, heartbeat.sequence, heartbeat.head, heartbeat.seconds);
      link.heartbeat(message.channel, heartbeat, ledger.lastKnown(message.channel));
      missing.look(message.channel);
      break;
    }
    case 'grown':
      pipeline.grown(message, message.bytes);
      break;
    case 'progress':
      link.progress(message);
      pipeline.moved(message.channel, message.digest);
      break;
    case 'margin':
      link.margin(message);
      onMargin?.(message.worst);
      break;
    case 'alarm':
      link.alarm(message.code, message.detail);
      onAlarm?.(message.code);
      limited.error({ alarm: message.code, detail: message.detail }, `link raises the alarm ${message.code}`);
      break;
    case 'status':
      link.status(message);
  }
}
