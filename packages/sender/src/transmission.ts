import { makeTsi } from '@sluice/alc';
import type { Logger, Shutdown } from '@sluice/base';
import type { SealedBundle, SealedObject, SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { loadSigner, parseLinkKey } from '@sluice/trust';
import { Beats } from './beats.ts';
import { Carousel } from './carousel.ts';
import type { SenderConfig } from './config.ts';
import { faultsOf, type Telemetry } from './observe.ts';
import { passOrder } from './pipeline.ts';
import type { FromTransmit, TransmitOptions } from './transmit/messages.ts';
import { TransmitWorker } from './transmit/transmitter.ts';

export const unixSeconds = (): number => Math.floor(Date.now() / 1000);

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
  readonly missing: (objects: readonly SealedObject[]) => Promise<readonly Digest[]>;
}

/** What the main thread has to do with the transmit worker: passes, sessions, heartbeats, and hearing how it goes. */
export class Transmission {
  readonly #parts: TransmissionParts;
  readonly #worker: TransmitWorker;
  readonly #carousel: Carousel;
  readonly #asids: ReadonlyMap<string, number>;

  constructor(parts: TransmissionParts) {
    this.#parts = parts;
    const { config, ledger, logger, shutdown, storeRoot } = parts;
    this.#asids = new Map(config.channels.map(({ name, asid }) => [name, asid]));
    const worker = new TransmitWorker(transmitOptions(config, storeRoot, this.#nextTsi()), (message) => {
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
    const { passes, gap: gapMs } = config.carousel;
    const carousel = new Carousel({ passes, gapMs, ledger, transmit: (bundle) => void this.#sendAgain(bundle) });
    this.#carousel = carousel;
    shutdown.add('carousel', () => carousel.stop());
    const beats = new Beats({
      ledger,
      channels: config.channels.map(({ name, asid, transportKeyFile }) => ({
        name,
        asid,
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

  /** Goes on with what a former run left. */
  resume(): void {
    this.#carousel.resume();
  }

  /** Hands the first pass of a bundle that was just sealed to the worker. */
  send(id: Digest): void {
    const bundle = this.#parts.ledger.bundle(id);
    if (bundle !== undefined) this.#post(bundle);
  }

  /** The next pass of a bundle that has lain here for a while. What was written to meanwhile would never be taken on the other side. */
  async #sendAgain(bundle: SealedBundle): Promise<void> {
    const { logger, missing, shutdown, telemetry } = this.#parts;
    try {
      const gone = await missing(bundle.objects);
      if (gone.length === 0) {
        this.#post(bundle);
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

  #post(bundle: SealedBundle): void {
    const asid = this.#asids.get(bundle.channel);
    if (asid === undefined) return;
    this.#parts.ledger.passBegun(bundle.id);
    this.#worker.post({ type: 'pass', order: passOrder(bundle, asid) });
  }

  #nextTsi(): number {
    return makeTsi('live', this.#parts.ledger.nextEpoch(Date.now() / 1000));
  }

  #hear(message: FromTransmit): void {
    const { config, logger, telemetry } = this.#parts;
    telemetry.hear(message);
    switch (message.type) {
      case 'ready':
        logger.info({ io: message.io, why: message.why }, 'link socket open');
        break;
      case 'pass-done':
        logger.info({ bundle: message.bundle, pass: message.pass + 1, of: config.carousel.passes }, 'pass sent');
        this.#carousel.passDone(message.bundle, message.pass);
        break;
      case 'pass-failed':
        logger.error(
          { bundle: message.bundle, pass: message.pass + 1, reason: message.reason },
          'pass failed; it is tried again with the next start',
        );
        break;
      case 'send-refused':
        logger.error({ code: message.code, reason: message.reason }, 'the kernel takes no datagrams; the pass waits');
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
      case 'status':
        break;
    }
  }
}

function transmitOptions(config: SenderConfig, storeRoot: string, tsi: number): Omit<TransmitOptions, 'wake'> {
  const { link } = config;
  const explicit = link.fec.profile === 'explicit' ? link.fec : undefined;
  const named =
    link.fec.profile === 'fast'
      ? { name: 'fast', maxBlock: 64, repair: 8 }
      : { name: 'robust', maxBlock: 200, repair: 20 };
  return {
    host: link.host,
    port: link.port,
    io: link.io,
    rate: link.rate,
    symbolBytes: link.symbolBytes,
    profile:
      explicit === undefined ? named : { name: 'explicit', maxBlock: explicit.maxBlock, repair: explicit.repair },
    outageMs: link.outageSurvived,
    groupBytes: link.groupBytes,
    statementLeadMs: link.statementLead,
    keys: config.channels.map(({ asid, name, algorithm, linkKeyFile }) => ({
      asid,
      channel: name,
      algorithm,
      key: parseLinkKey(linkKeyFile.text()),
    })),
    tsi,
    storeRoot,
  };
}
