import { join } from 'node:path';
import {
  createNotifier,
  installShutdown,
  LASTING_MS,
  listenFds,
  loadConfig,
  rateLimited,
  type LinePeer,
  type LineServer,
  type Logger,
  type Notifier,
  type Shutdown,
  serveLines,
  startWatchdog,
} from '@sluice/base';
import {
  createHealth,
  createLogger,
  createMetrics,
  feedOf,
  handedIn,
  type HttpServer,
  type Metrics,
  Pace,
  startHttp,
} from '@sluice/chassis';
import { ReceiverLedger } from '@sluice/ledger';
import {
  type Digest,
  LINK_ALARMS,
  type LinkAlarm,
  type LinkToReceiver,
  ok,
  parseLinkMessage,
  RECEIVER_ALARMS,
  type ReceiverAlarm,
  type ReceiverToLink,
  type Result,
} from '@sluice/ports';
import { Anchors, openStore, readVerifier } from '@sluice/policy';
import { type ImportQueue, openQueue } from '@sluice/queue';
import { unixDatagramSend } from '@sluice/udp';
import { type AnswerParts, bundlesPage, filtersOf, statusOf, storyOf } from './answers.ts';
import { receiverSchemas } from './api.ts';
import { receiverConfig, type ReceiverConfig } from './config.ts';
import { Canary } from './canary.ts';
import { CatchUp } from './catch-up.ts';
import { addChecks } from './checks.ts';
import { type AdminParts, startAdmin } from './admin.ts';
import { followContext, type Under } from './chunks/context.ts';
import { entered } from './chunks/entered.ts';
import { KeeperThread } from './chunks/thread.ts';
import { type ControlParts, startTickets } from './control.ts';
import { hear, type HearParts } from './hear.ts';
import { Histories } from './history.ts';
import { openQuarantine, placesOf, startHousekeeping } from './housekeeping.ts';
import { Judge } from './judge/judge.ts';
import { LinkState } from './link-state.ts';
import { LinkSupervisor } from './link-supervisor.ts';
import { addMetrics } from './metrics.ts';
import { MissingBundles } from './missing.ts';
import { Outbox } from './outbox.ts';
import { overviewOf } from './overview.ts';
import { ReceiverPipeline } from './pipeline.ts';
import { SpoolChecks } from './spool/checks.ts';
import { ImportRetry, type ImportRetryParts } from './import-retry.ts';
import { SecondLook } from './second-look.ts';

/** How often the outbox is held against the queue. */
const RECONCILE_MS = 5000;
/** A statement is judged in seconds, a slice of a file hashed in one: a thread that needs longer is stuck, and the watchdog lets systemd end the process. */
const STILL_MAX_MS = 5 * 60_000;

/** What `sluice receiver --config FILE` does. `command` runs this program again, for link. */
export async function runReceiver(configFile: string, command: readonly string[]): Promise<void> {
  const config = loadConfig(configFile, receiverConfig);
  const logger = createLogger('receiver');
  const notifier = createNotifier({ send: unixDatagramSend });
  const shutdown = installShutdown({ logger, notifier });
  const ledger = new ReceiverLedger(join(config.stateDirectory, 'ledger.sqlite'));
  shutdown.add('ledger', () => {
    ledger.close();
  });
  const anchors = new Anchors({ channels: config.channels, trust: config.trust, record: ledger.trust });
  const names = config.channels.map(({ name }) => name);
  const store = await openStore(config.store, config.stateDirectory);
  const metrics = createMetrics();
  const counted = countersOf(metrics);
  const queue = openImportQueue(config);
  shutdown.add('queue', () => queue.close());
  const link = new LinkState();
  const outbox = openOutbox(config, {
    ...{ ledger, queue, logger, anchors, ...counted, senderSeconds: (channel) => link.senderSeconds(channel) },
    onDoubt: (bundle) => void pipeline.doubt(bundle),
    catchUp: new CatchUp({ ledger, logger, heard: (channel) => link.heartbeatAge(channel) !== undefined }),
  });
  const peers = new Set<LinePeer<ReceiverToLink>>();
  const toLink = (message: ReceiverToLink): void => {
    for (const peer of peers) peer.send(message);
  };
  const missing = new MissingBundles(ledger, logger, wantAgain(toLink));
  const histories = new Histories({ ledger, logger, channels: anchors, toLink });
  const judge = startThread(new Judge(anchors.values()), 'judges statements', logger, shutdown);
  const checks = startThread(new SpoolChecks(), 'hashes the spool', logger, shutdown);
  const quarantine = openQuarantine(config);
  const { statementBytes } = config.limits;
  const pipeline = new ReceiverPipeline({
    store,
    ...{ checks, judge, ledger, logger, channels: anchors, quarantine, statementBytes, toLink },
    stands: (channel, signed) => anchors.stands(channel, signed),
    gates: gatesOf(config),
    canary: config.canary,
    places: placesOf(config, link, (bytes) => void housekeeping.makeRoom(bytes)),
    onPublished: () => void outbox.reconcile(),
  });
  shutdown.add('pipeline', () => pipeline.idle());
  const housekeeping = startHousekeeping(config, { store, ledger, logger, shutdown, pipeline });
  const endKeys = followKeys({ anchors, judge, outbox, link, toLink, pipeline });
  const secondLook = new SecondLook({ ledger, logger, judge, quarantine, pipeline, statementBytes });
  shutdown.add('results', takeResults(queue, outbox));
  const under = followContext(config, { anchors, ledger, toLink });
  const keeper = startKeeper(config, { ledger, logger, shutdown });
  const server = await listenToLink(config, peers, under, {
    ...{ pipeline, histories, missing, ledger, link, logger, channels: anchors, onHello: endKeys },
    limited: rateLimited(logger, { intervalMs: LASTING_MS }),
    ...counted,
  });
  shutdown.add('link socket', () => server.close());
  await startSupervisor(config, command, logger, shutdown);
  startReconciler(outbox, shutdown);
  const parts = {
    ...{ config, anchors, ledger, link, outbox, queue, pipeline, missing, keeper, channels: names },
    canary: config.canary === undefined ? undefined : new Canary(config.canary, ledger, link),
    ...watched(config),
  };
  const http = await listenToPeople(config, parts, { logger, shutdown, metrics, secondLook });
  watch(notifier, logger, judge, checks);
  notifier.ready();
  notifier.status(`listening, status at ${http.origin}/v1/status`);
  logger.info({ http: http.origin, channels: names }, 'receiver ready');
  await secondLook.resume();
  pipeline.resume();
  await outbox.reconcile();
}

/** Control sockets and the HTTP port. */
async function listenToPeople(
  config: ReceiverConfig,
  parts: AnswerParts & Pick<ControlParts, 'pipeline'>,
  { metrics, ...own }: Pick<AdminParts, 'logger' | 'shutdown' | 'secondLook'> & { readonly metrics: Metrics },
): Promise<HttpServer> {
  await startTickets(config, { ...parts, ...own });
  const importers = config.importerKeyFiles.map((file) => readVerifier(file).keyid);
  await startAdmin(config, { ...parts, ...own, importers, retry: retryOf({ ...parts, ...own }) });
  const http = await serveHttp(config, own.logger, metrics, parts);
  own.shutdown.add('http', () => http.close());
  return http;
}

/** Counts what link tells of. Each code of an alarm is there from the start, so that its first one is growth. */
function countersOf(metrics: Metrics): Required<Pick<HearParts, 'onMargin'>> & {
  readonly onAlarm: (code: ReceiverAlarm | LinkAlarm) => void;
} {
  const margins = metrics.histogram({
    name: 'sluice_link_fec_margin_symbols',
    help: 'Symbols beyond need of the worst block of each object: at 0 one more loss would have cost the block.',
    buckets: [0, 1, 2, 4, 8, 16, 32],
  });
  const alarms = metrics.counter({
    name: 'sluice_receiver_alarms_total',
    help: 'Alarms raised by receiver and link, by code.',
    labels: ['code'],
  });
  for (const code of [...RECEIVER_ALARMS, ...LINK_ALARMS]) alarms.inc({ code }, 0);
  return {
    onMargin: (symbols) => {
      margins.observe(symbols);
    },
    onAlarm: (code) => {
      alarms.inc({ code });
    },
  };
}

/** What link took of a bundle in another life of the ledger must come once more. */
const wantAgain =
  (toLink: (message: ReceiverToLink) => void) =>
  (channel: string, id: Digest): void => {
    toLink({ type: 'allow', channel, digests: [id] });
  };

function startReconciler(outbox: Outbox, shutdown: Shutdown): void {
  const timer = setInterval(() => void outbox.reconcile(), RECONCILE_MS);
  shutdown.add('reconciler', () => {
    clearInterval(timer);
  });
}

const gatesOf = ({ gates }: ReceiverConfig) =>
  gates.map(({ name, command, timeout }) => ({ name, command, timeoutMs: timeout }));

/** Gives its own undoing. */
const takeResults = (queue: ImportQueue, outbox: Outbox): (() => void) =>
  queue.onResult((result) => {
    if (result.outcome === 'completed') outbox.completed(result.bundle, result.receipt);
    else void outbox.reconcile();
  });

/** What follows at once from other keys: for what is judged next, is under way, or waits for its import. Gives what link is told when it connects. */
function followKeys({
  anchors,
  judge,
  outbox,
  link,
  toLink,
  pipeline,
}: Pick<AdminParts, 'anchors' | 'outbox' | 'link'> & {
  readonly judge: Judge;
  readonly toLink: (message: ReceiverToLink) => void;
  readonly pipeline: ReceiverPipeline;
}): () => void {
  const endKeys = (): void => {
    const ids = link.keys.map(({ id }) => id).filter((id) => anchors.isRevoked(id));
    if (ids.length > 0) toLink({ type: 'end-keys', ids });
  };
  anchors.onChange(() => {
    judge.trust(anchors.values());
    outbox.withdraw();
    endKeys();
    void pipeline.lookAgain();
  });
  // What a crash left undone.
  outbox.withdraw();
  return endKeys;
}

const retryOf = ({
  anchors,
  ...parts
}: Omit<ImportRetryParts, 'stands'> & { readonly anchors: Anchors }): ImportRetry =>
  new ImportRetry({ ...parts, stands: (bundle) => standingOf(bundle, parts.ledger, anchors) });

/** Whether the signatures of a published bundle still hold; one of a channel that is gone is left alone. */
function standingOf(id: Digest, ledger: ReceiverLedger, anchors: Anchors): Result<undefined> {
  const bundle = ledger.bundle(id);
  if (bundle === undefined || !anchors.has(bundle.channel)) return ok(undefined);
  const { transport, release } = ledger.signatures.of(id);
  return anchors.stands(bundle.channel, { sequence: bundle.sequence, signer: transport, approvers: release });
}

function openOutbox(
  config: ReceiverConfig,
  {
    anchors,
    ...parts
  }: {
    readonly ledger: ReceiverLedger;
    readonly queue: ImportQueue;
    readonly logger: Logger;
    readonly anchors: Anchors;
    readonly onAlarm: (code: ReceiverAlarm) => void;
    readonly onDoubt: (bundle: Digest) => void;
    readonly catchUp: CatchUp;
    readonly senderSeconds: (channel: string) => number | undefined;
  },
): Outbox {
  const importers = config.importerKeyFiles.map(readVerifier);
  return new Outbox({
    ...{ ...parts, importers, isRevoked: (key) => anchors.isRevoked(key) },
    stands: (bundle) => standingOf(bundle, parts.ledger, anchors),
  });
}

interface Thread {
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

function startThread<T extends Thread>(thread: T, does: string, logger: Logger, shutdown: Shutdown): T {
  // At once, and not in its turn: a large object takes longer than a stop may.
  shutdown.signal.addEventListener('abort', () => void thread.stop(), { once: true });
  thread.ended.catch((error: unknown) => {
    logger.fatal({ err: error }, `the thread that ${does} failed`);
    return shutdown.stop(`the thread that ${does} failed`, 70);
  });
  return thread;
}

/** The chunk log gets its keeper. */
function startKeeper(
  { chunkLog }: ReceiverConfig,
  {
    ledger,
    logger,
    shutdown,
  }: { readonly ledger: ReceiverLedger; readonly logger: Logger; readonly shutdown: Shutdown },
): KeeperThread | undefined {
  if (chunkLog === undefined) return undefined;
  const { directory, keyFile, totalBytes, every } = chunkLog;
  const options = { directory, keyPem: keyFile.text(), totalBytes, everyMs: every };
  const keeper = new KeeperThread(options, entered(ledger, logger));
  return startThread(keeper, 'keeps the chunk log', logger, shutdown);
}

/** The watchdog is petted while every thread that has work moves. */
function watch(notifier: Notifier, logger: Logger, judge: Judge, checks: SpoolChecks): void {
  startWatchdog(notifier, {
    progress: () => Math.max(judge.stillMs, checks.stillMs) < STILL_MAX_MS,
    onStall: () => {
      logger.error({ judgeMs: judge.stillMs, spoolMs: checks.stillMs }, 'a thread that has work does not move');
    },
  });
}

function serveHttp(config: ReceiverConfig, logger: Logger, metrics: Metrics, parts: AnswerParts): Promise<HttpServer> {
  const health = createHealth({ description: 'sluice receiver' });
  addChecks(health, parts);
  addMetrics(metrics, parts);
  const pace = new Pace();
  return startHttp({
    ...config.http,
    ...handedIn(listenFds()),
    title: 'sluice receiver',
    health,
    metrics,
    logger,
    status: () => statusOf(parts),
    bundles: (page) => bundlesPage(parts.ledger, page),
    filters: filtersOf(parts),
    story: (id) => storyOf(parts, id),
    events: { feed: feedOf(parts.ledger.events), overview: () => overviewOf(parts, health, pace) },
    schemas: receiverSchemas,
  });
}

/** What checks and answers look at, beside what changes. */
function watched(
  config: ReceiverConfig,
): Pick<AnswerParts, 'limits' | 'disks' | 'cveChannels' | 'quietAfterMs' | 'reachMs'> {
  const { cveDatabaseAge: cveDatabaseAgeMs, queueAge: queueAgeMs, fecMargin: marginSymbols, diskFree } = config.health;
  return {
    limits: { cveDatabaseAgeMs, queueAgeMs, marginSymbols, diskFree },
    disks: [
      ['state', config.stateDirectory],
      ...(config.store.type === 'fs' ? [['store', config.store.directory] as const] : []),
    ],
    cveChannels: config.channels.filter(({ types }) => types.includes('cve-db')).map(({ name }) => name),
    quietAfterMs: config.linkQuietAfter,
    reachMs: config.chunkLog?.reach ?? 0,
  };
}

function openImportQueue({ redis: { url, passwordFile } }: ReceiverConfig): ImportQueue {
  return openQueue({ redis: { url, ...(passwordFile === undefined ? {} : { password: passwordFile.text() }) } });
}

/** The socket to which link connects; each connection joins `peers` while it lasts. */
function listenToLink(
  config: ReceiverConfig,
  peers: Set<LinePeer<ReceiverToLink>>,
  under: () => Under,
  parts: HearParts,
): Promise<LineServer<ReceiverToLink>> {
  return serveLines<LinkToReceiver, ReceiverToLink>({
    path: config.linkSocket,
    access: { mode: Number.parseInt(config.linkSocketMode, 8) },
    parse: (value) => {
      const message = parseLinkMessage(value);
      return message === undefined ? { ok: false, error: 'not a message of link' } : { ok: true, value: message };
    },
    onConnect: (peer) => {
      peers.add(peer);
      peer.send(under());
      void peer.closed.then(() => peers.delete(peer));
    },
    onMessage: (message) => hear(message, parts),
    onFault: ({ code, detail }) => {
      parts.logger.error({ code, detail }, 'link said something that is no message');
    },
  });
}

async function startSupervisor(
  config: ReceiverConfig,
  command: readonly string[],
  logger: Logger,
  shutdown: ReturnType<typeof installShutdown>,
): Promise<void> {
  if (config.link === undefined) return;
  const supervisor = await LinkSupervisor.begin({ ...config.link, command, logger });
  shutdown.add('link', () => supervisor.stop());
}
