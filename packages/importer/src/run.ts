import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createNotifier,
  digestOfConfig,
  installShutdown,
  loadConfig,
  type Logger,
  startWatchdog,
  systemClock,
} from '@sluice/base';
import {
  addRoutes,
  createHealth,
  createLogger,
  createMetrics,
  type Health,
  startControl,
  startHttp,
  startLedgerKeeping,
} from '@sluice/chassis';
import { ImporterLedger } from '@sluice/ledger';
import { Anchors, openStore, trustRoutes } from '@sluice/policy';
import { type ImportWorker, openQueue, type ImportQueue, startWorker } from '@sluice/queue';
import { type AuthorizedOptions, openHarbor, openRegistry } from '@sluice/registry';
import { loadSigner, openPeerReader } from '@sluice/trust';
import { importerConfig, type ImporterConfig } from './config.ts';
import { FileSite } from './files.ts';
import { Jobs } from './jobs.ts';
import type { ImportPorts } from './pipeline.ts';
import { paceOf } from './retry.ts';

/** No byte sent, no answer, no replication looked at for this long: the watchdog lets systemd end the process. */
const STILL_MAX_MS = 30 * 60_000;
/** A job in hand gets this long to end when the process stops; it is taken up again otherwise. */
const STOP_GRACE_MS = 5000;

/** What `sluice importer --config FILE` does. */
export async function runImporter(configFile: string): Promise<void> {
  const config = loadConfig(configFile, importerConfig);
  const logger = createLogger('importer');
  const notifier = createNotifier();
  const shutdown = installShutdown({ logger, notifier });
  const importer = await startImporter(config, logger);
  shutdown.add('importer', () => importer.close());
  const { checkpointKeyFile } = config.ledger;
  const signer = checkpointKeyFile === undefined ? undefined : loadSigner(checkpointKeyFile.text());
  startLedgerKeeping({ ledger: importer.ledger, config: config.ledger, signer, logger, shutdown });
  const watchdog = startWatchdog(notifier, {
    progress: () => importer.jobs.stillMs < STILL_MAX_MS,
    onStall: () => {
      logger.error({ active: importer.jobs.active }, 'the import does not move');
    },
  });
  shutdown.add('watchdog', () => {
    watchdog.stop();
  });
  notifier.ready();
  notifier.status(`working, status at ${importer.origin}/v1/status`);
}

export interface Importer {
  /** Of the read-only HTTP port. */
  readonly origin: string;
  readonly jobs: Jobs;
  readonly ledger: ImporterLedger;
  close(): Promise<void>;
}

/** Opens everything and begins to work. Redis, Harbor and the destinations may all be absent. */
export async function startImporter(config: ImporterConfig, logger: Logger): Promise<Importer> {
  const metrics = createMetrics();
  const ledger = new ImporterLedger(join(config.stateDirectory, 'ledger.sqlite'));
  const anchors = new Anchors({ channels: config.channels, trust: config.trust, record: ledger.trust });
  const ports = await openPorts(config, ledger, anchors);
  const jobs = new Jobs({ ports, logger, metrics });
  const redis = {
    url: config.redis.url,
    ...(config.redis.passwordFile === undefined ? {} : { password: config.redis.passwordFile.text() }),
  };
  const onError = (error: Error): void => {
    logger.debug({ err: error }, 'Redis');
  };
  const queue = openQueue({ redis, onError });
  const worker = startWorker({
    redis,
    onError,
    lockMs: config.takeover,
    handle: (job) => jobs.handle(job),
    pace: (error, attempts) => paceOf(error, attempts, config.retry),
  });
  const health = createHealth({ description: 'sluice importer' });
  addChecks(health, { config, jobs, queue, ports });
  const control = await startAdmin(config, anchors, logger);
  const http = await startHttp({
    ...config.http,
    health,
    metrics,
    logger,
    status: () => statusOf(config, { anchors, jobs, worker }),
  });
  logger.info({ http: http.origin, site: config.harbor.site }, 'importer ready');
  const close = async (): Promise<void> => {
    await control?.close();
    await http.close();
    await worker.close(STOP_GRACE_MS);
    await queue.close();
    for (const { registry } of [ports.home, ...ports.destinations]) registry.close();
    ports.home.harbor.close();
    ledger.close();
  };
  return { origin: http.origin, jobs, ledger, close };
}

/** Keys and policies of this importer: it believes nobody else about them, the receiver neither. */
async function startAdmin(
  { control }: ImporterConfig,
  anchors: Anchors,
  logger: Logger,
): Promise<{ close(): Promise<void> } | undefined> {
  if (control === undefined) return undefined;
  const { socket, mode, users, io } = control;
  const peer = await openPeerReader(io);
  return startControl({
    ...{ socketPath: socket, mode: Number.parseInt(mode, 8), logger, peer, users },
    routes: (app) => {
      addRoutes(app, trustRoutes({ anchors, others: () => [] }), peer);
    },
  });
}

type ServerConfig = ImporterConfig['harbor'] | ImporterConfig['sites'][number];

function clientOptions({ url, username, passwordFile, caFile, tokenHosts }: ServerConfig): AuthorizedOptions {
  const ca = caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') };
  return { url, credentials: { username, password: passwordFile.text() }, tokenHosts, ...ca };
}

async function openPorts(
  config: ImporterConfig,
  ledger: ImporterLedger,
  anchors: Anchors,
): Promise<Omit<ImportPorts, 'onEvent'>> {
  const home = clientOptions(config.harbor);
  return {
    store: await openStore(config.store, config.stateDirectory),
    trust: anchors,
    ledger,
    home: { name: config.harbor.site, registry: openRegistry(home), harbor: openHarbor(home) },
    destinations: config.sites.map((site) => ({ name: site.name, registry: openRegistry(clientOptions(site)) })),
    replicationPolicies: config.replicationPolicies,
    replication: { pollMs: config.replicationPoll, deadlineMs: config.replicationDeadline },
    projects: config.projects,
    files: config.files === undefined ? undefined : new FileSite(config.files.directory),
    signer: loadSigner(config.receiptKeyFile.text()),
    seconds: () => systemClock.wallSeconds(),
  };
}

interface CheckParts {
  readonly config: ImporterConfig;
  readonly jobs: Jobs;
  readonly queue: ImportQueue;
  readonly ports: Omit<ImportPorts, 'onEvent'>;
}

/** An absent Harbor or Redis is no reason to restart us. */
function addChecks(health: Health, { jobs, queue, ports }: CheckParts): void {
  health.add({
    name: 'queue:redis',
    gates: 'ready',
    check: async () => {
      const { reachable, reasons } = await queue.health();
      if (!reachable) return { status: 'fail', output: reasons.join(' ') };
      return reasons.length === 0 ? { status: 'pass' } : { status: 'warn', output: reasons.join(' ') };
    },
  });
  health.add({
    name: 'imports:waiting',
    check: () => {
      const stuck = jobs.waiting.filter((each) => each.class === 'operator');
      const seen = { observedValue: stuck.length, observedUnit: 'bundles', threshold: 0 };
      const [first] = stuck;
      if (first === undefined) return { status: 'pass', ...seen };
      return { status: 'warn', ...seen, output: `${first.bundle} waits: ${first.reason}` };
    },
  });
  for (const { name, registry } of [ports.home, ...ports.destinations]) {
    health.add({
      name: `registry:${name}`,
      check: oneAtATime(async () => {
        await registry.ping();
        return { status: 'pass' as const };
      }),
    });
  }
}

/** Who asks while an answer is awaited waits for the same one, so that a silent server is not asked more and more. */
function oneAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | undefined;
  return () =>
    (asking ??= ask().finally(() => {
      asking = undefined;
    }));
}

function statusOf(
  config: ImporterConfig,
  { anchors, jobs, worker }: { readonly anchors: Anchors; readonly jobs: Jobs; readonly worker: ImportWorker },
): unknown {
  return {
    config: digestOfConfig(config),
    site: config.harbor.site,
    destinations: config.sites.map(({ name }) => name),
    channels: [...anchors.values()].map(({ policy: { channel, releaseSignatures } }) => ({
      name: channel,
      releaseSignatures,
    })),
    trust: {
      policy: anchors.policy ?? null,
      revoked: anchors.keys().flatMap(({ key, revoked }) => (revoked ? [key] : [])),
    },
    queueConnected: worker.connected(),
    active: jobs.active,
    waiting: jobs.waiting,
  };
}
