import { epochAt, makeTsi } from '@sluice/alc';
import { type Logger, readKeyFile, type Shutdown } from '@sluice/base';
import type { SealedBundle, SealedObject, SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import type { PassKind, PassOrder, Schedule } from '@sluice/transfer';
import { loadSigner, loadTicketVerifier } from '@sluice/trust';
import { Beats } from './beats.ts';
import { Carousel } from './carousel.ts';
import type { SenderConfig } from './config.ts';
import { faultsOf, type Telemetry } from './observe.ts';
import { LinkKeys } from './link-keys.ts';
import { passOrder } from './pipeline.ts';
import { Repairs } from './repairs.ts';
import type { FromTransmit, TransmitOptions } from './transmit/messages.ts';
import { TransmitWorker } from './transmit/transmitter.ts';

export const unixSeconds = (): number => Math.floor(Date.now() / 1000);

/** However old a bundle is, something of it is sent once a day. */
const LONGEST_GAP_MS = 86_400_000;
/** How often it is written down where a pass is. */
const REMEMBER_MS = 1000;

export interface TransmissionParts {
  readonly config: SenderConfig;
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly shutdown: Shutdown;
  /** Where the transmit worker reads objects. */
  readonly storeRoot: string;
  readonly configDigest: Digest;
  /** Which of these objects the staging store has no longer as they were. */
  readonly missing: (objects: readonly Pick<SealedObject, 'digest' | 'size'>[]) => Promise<readonly Digest[]>;
}

/** What the main thread has to do with the transmit worker: passes, sessions, heartbeats, and hearing how it goes. */
export class Transmission {
  readonly #parts: TransmissionParts;
  readonly #worker: TransmitWorker;
  readonly #carousel: Carousel;
  /** Serves tickets. */
  readonly repairs: Repairs;
  readonly linkKeys: LinkKeys;
  #rememberedAt = -Infinity;

  constructor(parts: TransmissionParts) {
    this.#parts = parts;
    const { config, ledger, logger, shutdown, storeRoot } = parts;
    const linkKeys = this.#openLinkKeys();
    this.linkKeys = linkKeys;
    const worker = new TransmitWorker(transmitOptions(config, storeRoot, this.#nextTsi(), linkKeys), (message) => {
      this.#hear(message);
    });
    this.#worker = worker;
    shutdown.add('transmit worker', () => worker.stop());
    worker.ended.then(
      () => shutdown.stop('the transmit worker ended', shutdown.signal.aborted ? 0 : 70),
      (error: unknown) => {
        logger.fatal({ err: error }, 'the transmit worker failed');
        return shutdown.stop('the transmit worker failed', 70);
      },
    );
    const carousel = new Carousel({
      schedule: scheduleOf(config),
      channels: config.channels.map(({ name }) => name),
      ledger,
      transmit: (bundle, kind) => void this.#sendAgain(bundle, kind),
    });
    this.#carousel = carousel;
    shutdown.add('carousel', () => carousel.stop());
    this.repairs = this.#openRepairs();
    const beats = new Beats({
      ledger,
      channels: config.channels.map(({ name, transportKeyFile }) => ({
        name,
        get asid() {
          return linkKeys.active(name).asid;
        },
        signer: loadSigner(transportKeyFile.text()),
      })),
      configDigest: parts.configDigest,
      now: unixSeconds,
      post: (message) => worker.post(message),
    });
    const beat = setInterval(() => {
      beats.beat(parts.telemetry.pending > 0 ? 'sending' : 'idle', faultsOf(parts));
    }, config.heartbeat);
    shutdown.add('heartbeat', () => clearInterval(beat));
  }

  #openLinkKeys(): LinkKeys {
    const { config, ledger, logger } = this.#parts;
    const go = (from: number, to: number): void => {
      this.#worker.post({ type: 'rekey', from, to });
      this.#worker.post({ type: 'roll', tsi: this.#nextTsi() });
    };
    return new LinkKeys({ channels: config.channels, ledger, logger, go });
  }

  #openRepairs(): Repairs {
    const { config, ledger, logger, missing } = this.#parts;
    return new Repairs({
      ledger,
      logger,
      channels: new Map(
        config.channels.map(({ name, ticketKeyFiles }) => [
          name,
          ticketKeyFiles.map((file) => readKeyFile(file, loadTicketVerifier)),
        ]),
      ),
      timeToLive: config.carousel.timeToLive,
      symbolBytes: config.link.symbolBytes,
      maxBlock: profileOf(config).maxBlock,
      againMs: config.tickets.again,
      waiting: config.tickets.waiting,
      uptime: () => performance.now(),
      missing,
      send: (bundle, over) => {
        this.#post(bundle, 'repair', over);
      },
    });
  }

  /** A pass has left. */
  #sent({ bundle, pass, kind }: FromTransmit & { readonly type: 'pass-done' }): void {
    const { config, ledger, logger } = this.#parts;
    const { channel, sequence } = ledger.bundle(bundle) ?? {};
    logger.info({ bundle, channel, sequence, kind, pass: pass + 1, of: config.carousel.passes }, 'pass sent');
    if (kind === 'repair') this.repairs.ended();
    else this.#carousel.passDone(bundle, pass);
  }

  /** Goes on with what a former run left. */
  resume(): void {
    this.#carousel.resume();
  }

  /** Hands the first pass of a bundle that was just sealed to the worker. */
  send(id: Digest): void {
    const bundle = this.#parts.ledger.bundle(id);
    if (bundle !== undefined) this.#post(bundle, 'full');
  }

  /** The next pass of a bundle that has lain here for a while. What was written to meanwhile would never be taken on the other side. */
  async #sendAgain(bundle: SealedBundle, kind: PassKind): Promise<void> {
    const { logger, missing, shutdown, telemetry } = this.#parts;
    try {
      const release = { digest: bundle.release, size: bundle.releaseSize };
      const gone = await missing(kind === 'statements' ? [release] : [release, ...bundle.objects]);
      if (gone.length === 0) {
        this.#post(bundle, kind);
        return;
      }
      if (kind !== 'full') {
        // All that was promised has left.
        logger.info({ bundle: bundle.id }, 'the bundle is gone from the staging store: it is not sent any more');
        return;
      }
      telemetry.failedPasses += 1;
      logger.error(
        { bundle: bundle.id, pass: bundle.passesDone + 1, objects: gone },
        'objects of the bundle are gone from the staging store, or were written to: submit it again',
      );
    } catch (error) {
      if (shutdown.signal.aborted) return;
      telemetry.failedPasses += 1;
      logger.error({ bundle: bundle.id, err: error }, 'pass failed; it is tried again with the next start');
    }
  }

  #post(bundle: SealedBundle, kind: PassKind, over: Partial<PassOrder> = {}): void {
    const { config, ledger } = this.#parts;
    const channel = config.channels.find(({ name }) => name === bundle.channel);
    if (channel === undefined) return;
    if (kind === 'full') ledger.passBegun(bundle.id);
    const from = kind === 'full' ? ledger.passStopped(bundle.id, bundle.passesDone, shapeOf(config)) : 0;
    const objects = kind === 'statements' ? { objects: [] } : {};
    const order = passOrder(bundle, this.linkKeys.active(channel.name).asid, {
      kind,
      priority: channel.priority,
      from,
      ...objects,
      ...over,
    });
    this.#parts.telemetry.posted(bundle.id);
    this.#worker.post({ type: 'pass', order });
  }

  /** Where a pass is, so that the next run goes on there if this one is cut off. */
  #remember({ bundle, pass, kind, sentBlocks }: FromTransmit & { readonly type: 'progress' }): void {
    const now = performance.now();
    if (kind !== 'full' || now - this.#rememberedAt < REMEMBER_MS) return;
    this.#rememberedAt = now;
    this.#parts.ledger.passGoesOn(bundle, pass, shapeOf(this.#parts.config), sentBlocks);
  }

  #nextTsi(): number {
    return makeTsi('live', this.#parts.ledger.nextEpoch(epochAt(unixSeconds())));
  }

  #hear(message: FromTransmit): void {
    const { logger, telemetry } = this.#parts;
    telemetry.hear(message);
    switch (message.type) {
      case 'ready':
        logger.info({ io: message.io, why: message.why }, 'link socket open');
        break;
      case 'pass-done':
        this.#sent(message);
        break;
      case 'pass-failed':
        if (message.kind === 'repair') this.repairs.ended();
        logger.error(
          { bundle: message.bundle, kind: message.kind, pass: message.pass + 1, reason: message.reason },
          'pass failed; it is tried again with the next start',
        );
        break;
      case 'send-refused':
        logger.error({ code: message.code, reason: message.reason }, 'the kernel takes no datagrams; the pass waits');
        break;
      case 'epoch-ahead':
        logger.warn(
          { session: message.tsi, seconds: message.seconds },
          'the clock is behind the session number: it was set back; set it right before a backup of the sender is put back',
        );
        break;
      case 'note':
        logger.warn(message.text);
        break;
      case 'roll-wanted': {
        const tsi = this.#nextTsi();
        logger.info({ why: message.why, session: tsi }, 'new session');
        this.#worker.post({ type: 'roll', tsi });
        break;
      }
      case 'progress':
        this.#remember(message);
        break;
      case 'status':
        break;
    }
  }
}

export function profileOf({ link: { fec } }: SenderConfig): TransmitOptions['profile'] {
  if (fec.profile === 'explicit') return { name: 'explicit', maxBlock: fec.maxBlock, repair: fec.repair };
  return fec.profile === 'fast'
    ? { name: 'fast', maxBlock: 64, repair: 8 }
    : { name: 'robust', maxBlock: 200, repair: 20 };
}

/** By what blocks are counted: E and B. */
const shapeOf = (config: SenderConfig): string =>
  `${String(config.link.symbolBytes)}/${String(profileOf(config).maxBlock)}`;

function scheduleOf({ carousel }: SenderConfig): Schedule {
  return { ...carousel, longestGap: LONGEST_GAP_MS };
}

function transmitOptions(
  config: SenderConfig,
  storeRoot: string,
  tsi: number,
  linkKeys: LinkKeys,
): Omit<TransmitOptions, 'wake'> {
  const { link } = config;
  return {
    host: link.host,
    port: link.port,
    io: link.io,
    rate: link.rate,
    symbolBytes: link.symbolBytes,
    profile: profileOf(config),
    outageMs: link.outageSurvived,
    groupBytes: link.groupBytes,
    statementLeadMs: link.statementLead,
    keys: linkKeys.all.map(({ asid, channel, algorithm, key }) => ({ asid, channel, algorithm, key })),
    tsi,
    storeRoot,
  };
}
