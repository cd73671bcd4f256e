import { join } from 'node:path';
import {
  createNotifier,
  digestOfConfig,
  installShutdown,
  listenFds,
  loadConfig,
  type Logger,
  type Shutdown,
  startWatchdog,
} from '@sluice/base';
import {
  createHealth,
  createLogger,
  createMetrics,
  feedOf,
  handedIn,
  type HttpServer,
  Pace,
  startHttp,
  startLedgerKeeping,
} from '@sluice/chassis';
import { loadSigner } from '@sluice/trust';
import { unixDatagramSend } from '@sluice/udp';
import { bundlesPage, filtersOf, storyOf } from './answers.ts';
import { senderSchemas } from './api.ts';
import { startCanary } from './canary.ts';
import { type SenderConfig, senderConfig } from './config.ts';
import { startControlSocket } from './control.ts';
import { IntakeThread } from './intake/thread.ts';
import { openIntakes } from './intakes.ts';
import { addChecks, addMetrics, type Observed, statusOf, Telemetry } from './observe.ts';
import { overviewOf } from './overview.ts';
import { startRetention } from './retention.ts';
import { type Started, startSending } from './start.ts';

/** Deepest nesting of directories in a bundle. */
const DEEPEST = 32;

/** What `sluice sender --config FILE` does. */
export async function runSender(configFile: string): Promise<void> {
  const config = loadConfig(configFile, senderConfig);
  const logger = createLogger('sender');
  // Portable means no native code at all: then a program speaks to systemd.
  const notifier = createNotifier(config.link.io === 'portable' ? {} : { send: unixDatagramSend });
  const shutdown = installShutdown({ logger, notifier });
  const configDigest = digestOfConfig(config);
  const telemetry = new Telemetry();
  const { ledger, transmission, pipeline, missing } = await startSending({
    config,
    logger,
    shutdown,
    telemetry,
    configDigest,
    intakeOf: (storeRoot) => startIntake(config, storeRoot, logger, shutdown),
  });
  const intakes = await openIntakes(config, pipeline, { ledger, logger, shutdown, telemetry });
  startCanary(config, { intakes, ledger, pipeline, logger, shutdown });
  const media = {
    config,
    ledger,
    storeRoot: join(config.stateDirectory, 'store'),
    linkKeys: transmission.linkKeys,
    missing,
  };
  await startControlSocket(config, {
    intakes,
    ledger,
    logger,
    shutdown,
    pipeline,
    repairs: transmission.repairs,
    linkKeys: transmission.linkKeys,
    media,
  });
  startHousekeeping(config, { ledger, pipeline, logger, shutdown, telemetry });
  const http = await serveHttp({ config, ledger, telemetry, configDigest }, logger);
  shutdown.add('http', () => http.close());
  startWatchdog(notifier, { progress: () => telemetry.workerAlive });
  notifier.ready();
  notifier.status(`sending to ${config.link.host}:${String(config.link.port)}, status at ${http.origin}/v1/status`);
  logger.info(
    {
      http: http.origin,
      to: `${config.link.host}:${String(config.link.port)}`,
      channels: config.channels.map(({ name }) => name),
    },
    'sender ready',
  );
}

interface HousekeepingParts extends Pick<Started, 'ledger' | 'pipeline'> {
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly telemetry: Telemetry;
}

/** What is done now and then: old content out of the staging store, checkpoints of the ledger. */
function startHousekeeping(config: SenderConfig, { pipeline, telemetry, ...parts }: HousekeepingParts): void {
  const { retention, carousel, ledger: kept } = config;
  const { store, lock } = pipeline;
  startRetention({
    ...{ ...parts, store, lock },
    rules: { storeForMs: retention.storeFor, storeBytes: retention.storeBytes, timeToLive: carousel.timeToLive },
    moving: () => telemetry.underWay,
    now: Date.now,
    directory: config.stateDirectory,
    diskFree: config.health.diskFree,
  });
  const { checkpointKeyFile } = kept;
  const signer = checkpointKeyFile === undefined ? undefined : loadSigner(checkpointKeyFile.text());
  startLedgerKeeping({ ...parts, config: kept, signer });
}

function serveHttp(observed: Observed, logger: Logger): Promise<HttpServer> {
  const { config, ledger } = observed;
  const health = createHealth({ description: 'sluice sender' });
  const metrics = createMetrics();
  addChecks(health, observed);
  addMetrics(metrics, observed);
  const pace = new Pace();
  return startHttp({
    ...config.http,
    ...handedIn(listenFds()),
    title: 'sluice sender',
    health,
    metrics,
    logger,
    status: () => statusOf(observed),
    bundles: (page) => bundlesPage(observed, page),
    filters: filtersOf(observed),
    story: (id) => storyOf(observed, id),
    events: { feed: feedOf(ledger.events), overview: () => overviewOf(observed, health, pace) },
    schemas: senderSchemas,
  });
}

function startIntake(config: SenderConfig, storeRoot: string, logger: Logger, shutdown: Shutdown): IntakeThread {
  const { bundleEntries, bundleBytes } = config.limits;
  const limits = { entries: bundleEntries, depth: DEEPEST, bytes: bundleBytes };
  const intake = new IntakeThread({ storeRoot, limits });
  // At once, and not in its turn: what it is about may take much longer than a stop may.
  shutdown.signal.addEventListener('abort', () => void intake.stop(), { once: true });
  intake.ended.catch((error: unknown) => {
    logger.fatal({ err: error }, 'the intake thread failed');
    return shutdown.stop('the intake thread failed', 70);
  });
  return intake;
}
