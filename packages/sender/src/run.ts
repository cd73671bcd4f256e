import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createNotifier, digestOfConfig, installShutdown, loadConfig, startWatchdog } from '@sluice/base';
import { createHealth, createLogger, createMetrics, type Page, type PageRequest, startHttp } from '@sluice/chassis';
import { makeTsi } from '@sluice/alc';
import { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import { parseLinkKey, sha256Digest } from '@sluice/trust';
import { unixDatagramSend } from '@sluice/udp';
import { Carousel } from './carousel.ts';
import { senderConfig, type SenderConfig } from './config.ts';
import { startControlSocket } from './control.ts';
import { openIntakes } from './intakes.ts';
import { addChecks, addMetrics, statusOf, Telemetry } from './observe.ts';
import { passOrder, type PipelineParts } from './pipeline.ts';
import type { FromTransmit, TransmitOptions } from './transmit/messages.ts';
import { TransmitWorker } from './transmit/transmitter.ts';

const unixSeconds = (): number => Math.floor(Date.now() / 1000);

/** What `sluice sender --config FILE` does. */
export async function runSender(configFile: string): Promise<void> {
  const config = loadConfig(configFile, senderConfig);
  const logger = createLogger('sender');
  const notifier = createNotifier({ send: unixDatagramSend });
  const shutdown = installShutdown({ logger, notifier });
  mkdirSync(config.stateDirectory, { recursive: true, mode: 0o700 });
  const ledger = new SenderLedger(join(config.stateDirectory, 'ledger.sqlite'));
  shutdown.add('ledger', () => {
    ledger.close();
  });
  const storeRoot = join(config.stateDirectory, 'store');
  const store = await openFsStore(storeRoot);
  const configDigest = digestOfConfig(config);
  const telemetry = new Telemetry();
  const nextTsi = (): number => makeTsi('live', ledger.nextEpoch(Date.now() / 1000));
  const worker = new TransmitWorker(transmitOptions(config, storeRoot, nextTsi()), (message) => {
    hear(message);
  });
  shutdown.add('transmit worker', () => worker.stop());
  worker.ended.then(
    () => shutdown.stop('the transmit worker ended', shutdown.signal.aborted ? 0 : 70),
    (error: unknown) => {
      logger.fatal({ err: error }, 'the transmit worker failed');
      return shutdown.stop('the transmit worker failed', 70);
    },
  );
  const asids = new Map(config.channels.map(({ name, asid }) => [name, asid] as const));
  const send = (id: Digest): void => {
    const bundle = ledger.bundle(id);
    const asid = asids.get(bundle?.channel ?? '');
    if (bundle === undefined || asid === undefined) return;
    ledger.passBegun(id);
    worker.post({ type: 'pass', order: passOrder(bundle, asid) });
  };
  const carousel = new Carousel({
    passes: config.carousel.passes,
    gapMs: config.carousel.gap,
    ledger,
    transmit: ({ id }) => {
      send(id);
    },
  });
  shutdown.add('carousel', () => {
    carousel.stop();
  });
  const hear = (message: FromTransmit): void => {
    telemetry.hear(message);
    switch (message.type) {
      case 'ready':
        logger.info({ io: message.io, why: message.why }, 'link socket open');
        break;
      case 'pass-done':
        logger.info({ bundle: message.bundle, pass: message.pass + 1, of: config.carousel.passes }, 'pass sent');
        carousel.passDone(message.bundle, message.pass);
        break;
      case 'pass-failed':
        logger.error(
          { bundle: message.bundle, pass: message.pass + 1, reason: message.reason },
          'pass failed; it is tried again with the next start',
        );
        break;
      case 'roll-wanted': {
        const tsi = nextTsi();
        logger.info({ why: message.why, session: tsi }, 'new session');
        worker.post({ type: 'roll', tsi });
        break;
      }
      case 'progress':
      case 'status':
        break;
    }
  };
  const beat = setInterval(() => {
    for (const { name, asid } of config.channels) {
      const { sequence, id } = ledger.head(name);
      const state = telemetry.pending > 0 ? 'sending' : 'idle';
      const body = Buffer.from(
        JSON.stringify({ v: 1, seconds: unixSeconds(), state, sequence, head: id, config: configDigest }),
      );
      worker.post({ type: 'heartbeat', asid, digest: sha256Digest(body), body });
    }
  }, config.heartbeat);
  shutdown.add('heartbeat', () => {
    clearInterval(beat);
  });
  const pipeline: PipelineParts = {
    store,
    ledger,
    logger,
    scanLimits: { entries: config.limits.bundleEntries, depth: 32, bytes: config.limits.bundleBytes },
    bundleBytes: config.limits.bundleBytes,
    now: unixSeconds,
    transmit: ({ bundle }) => {
      send(bundle as Digest);
    },
  };
  // What the ledger sealed before a crash may not lie in the store yet.
  for (const bundle of ledger.unfinished()) await store.put(bundle.id, bundle.envelope.length, bundle.envelope);
  carousel.resume();
  const intakes = await openIntakes(config, pipeline, { ledger, logger, shutdown, telemetry });
  await startControlSocket(config, { intakes, ledger, logger, shutdown, pipeline });
  const health = createHealth({ description: 'sluice sender' });
  const metrics = createMetrics();
  const observed = { config, ledger, telemetry, configDigest };
  addChecks(health, observed);
  addMetrics(metrics, observed);
  const http = await startHttp({
    ...config.http,
    health,
    metrics,
    logger,
    status: () => statusOf(observed),
    bundles: (page) => bundlesPage(ledger, telemetry, config.carousel.passes, page),
  });
  shutdown.add('http', () => http.close());
  startWatchdog(notifier, { progress: () => telemetry.workerAlive });
  notifier.ready();
  notifier.status(`sending to ${config.link.host}:${String(config.link.port)}, status at ${http.origin}/v1/status`);
  logger.info(
    { http: http.origin, to: `${config.link.host}:${String(config.link.port)}`, channels: [...asids.keys()] },
    'sender ready',
  );
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

function bundlesPage(ledger: SenderLedger, telemetry: Telemetry, passes: number, { limit, cursor }: PageRequest): Page {
  const { bundles, next } = ledger.list(limit, cursor === undefined ? undefined : Number(cursor));
  const items = bundles.map(({ id, channel, sequence, name, bytes, state, passesDone, sealedAt }) => ({
    bundle: id,
    channel,
    sequence,
    name,
    bytes,
    state,
    sent: `pass ${String(passesDone)} of ${String(passes)}`,
    passesDone,
    passes,
    progress: telemetry.progressOf(id),
    sealedAt: new Date(sealedAt).toISOString(),
  }));
  return { items, next: next?.toString() };
}
