import type { LogFields, Logger } from '@sluice/base';
import type { ChannelPolicy, VerifyContext } from '@sluice/bundle';
import type { Metrics } from '@sluice/chassis';
import { FileSite, type ImportPorts, Jobs, paceOf } from '@sluice/importer';
import { ImporterLedger, ReceiverLedger } from '@sluice/ledger';
import { Announcer, LinkPipeline, SessionFile } from '@sluice/link';
import { ChunkLog, type LogStorage } from '@sluice/pcapng';
import {
  type Digest,
  LINK_PROTOCOL,
  type LinkToReceiver,
  parseLinkMessage,
  parseReceiverMessage,
  type ReceiverToLink,
} from '@sluice/ports';
import {
  BOUNDLESS,
  CatchUp,
  Gaps,
  hear,
  Histories,
  Judge,
  LinkState,
  MissingBundles,
  Outbox,
  Quarantine,
  ReceiverPipeline,
  Retention,
  SpoolChecks,
  Tickets,
} from '@sluice/receiver';
import type { Started } from '@sluice/sender';
import { openFsStore } from '@sluice/store';
import { receiveArenaBytes } from '@sluice/transfer';
import { parseLinkKey, type PublicKey, sha256 } from '@sluice/trust';
import { Arena } from '@sluice/wasm';
import type { Fibre } from './fibre.ts';
import { KEYS, linkKeyText, VERIFIERS } from './keys.ts';
import { self } from './kernel.ts';
import { makeLinkKey } from './node/trust.ts';
import { SimulatedQueue, type SimulatedRedis, startSimulatedWorker } from './queue.ts';
import type { Wire } from './wire.ts';

/** What the daemons of a world are configured with. */
export interface Settings {
  readonly channels: readonly string[];
  readonly symbolBytes: number;
  readonly maxBlock: number;
  readonly repair: number;
  readonly rate: number;
  readonly passes: number;
  readonly gapMs: number;
  readonly gmac: boolean;
  /** Datagrams come in batches into the arena, and the kernel judges them. */
  readonly batches: boolean;
  readonly blockBytes: number;
  readonly unsignedBytesHeld: number;
  readonly spoolBytes: number;
  readonly queueBytes: number;
  /** The receiver's store lets imported bundles go, and how long, and how much, it keeps. */
  readonly sweeps: boolean;
  readonly keptMs: number;
  readonly storeBytes: number;
}

/** What a host of a world has around it. */
export interface Surroundings {
  readonly settings: Settings;
  readonly fibre: Fibre;
  readonly wire: Wire<LinkToReceiver, ReceiverToLink>;
  readonly redis: SimulatedRedis;
  readonly say: (who: string, text: string) => void;
  /** The process ends by itself. */
  readonly exit: (reason: string) => void;
  /** Old bundles went from the store, or nothing did. */
  readonly swept: () => void;
}

/** Uptime of a process that can be asked what it holds. */
export interface LinkProcess {
  readonly pipeline: LinkPipeline;
}
export interface ReceiverProcess {
  readonly pipeline: ReceiverPipeline;
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly outbox: Outbox;
  readonly gaps: Gaps;
  readonly tickets: Tickets;
}
export type SenderProcess = Pick<Started, 'ledger' | 'transmission'>;

const short = (value: unknown): string => {
  const text: string = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return text.replaceAll(/(sha256:)?([0-9a-f]{8})[0-9a-f]{56}/g, '$2');
};

export function loggerOf(who: string, say: Surroundings['say']): Logger {
  const tell = (first: LogFields | string, message?: string): void => {
    if (typeof first === 'string') {
      say(who, first);
      return;
    }
    const { err, ...fields } = first;
    const because: string = err instanceof Error ? ` (${short(err.message)})` : '';
    const told = Object.entries(fields).map(([name, value]) => `${name}=${short(value)}`);
    say(who, `${message ?? ''}${because} ${told.join(' ')}`.trim());
  };
  const quiet = (): void => undefined;
  const logger: Logger = {
    ...{ trace: quiet, debug: quiet, info: tell, warn: tell, error: tell, fatal: tell },
    child: () => logger,
  };
  return logger;
}

export const asidOf = (settings: Settings, channel: string): number => settings.channels.indexOf(channel);

export const algorithmOf = ({ gmac }: Settings): 'AES-256-GMAC' | 'HMAC-SHA-256-128' =>
  gmac ? 'AES-256-GMAC' : 'HMAC-SHA-256-128';

const NO_STORAGE: LogStorage = {
  create: () => Promise.reject(new Error('no chunk log here')),
  list: () => Promise.resolve([]),
  remove: () => Promise.resolve(),
};

const RECEIVE_BYTES = 65_536;

/** `sluice link`, wired as its `run.ts` does it. */
export function runSimulatedLink({ settings, fibre, wire, say }: Surroundings): LinkProcess {
  const logger = loggerOf('link', say);
  const limits = {
    ...{ blockBytes: settings.blockBytes, unknownToiBytes: 65_536, objectBytes: 2 ** 30, objects: 200 },
    ...{ tois: 200, fdtInstances: 64 },
  };
  const arena = settings.batches ? Arena.create(receiveArenaBytes(limits) + RECEIVE_BYTES) : undefined;
  const source = fibre.open(self(), arena && { bytes: arena.bytes, at: arena.take(RECEIVE_BYTES) });
  let send: (message: LinkToReceiver) => boolean = () => false;
  const announcer = new Announcer(
    () => pipeline.whole(),
    (message) => send(message),
  );
  const pipeline = new LinkPipeline({
    keys: settings.channels.map((channel, asid) =>
      makeLinkKey({ asid, channel, algorithm: algorithmOf(settings), key: parseLinkKey(linkKeyText(asid)) }),
    ),
    limits,
    ...(arena === undefined ? {} : { arena }),
    spoolDirectory: '/isolated/spool',
    spoolLimits: {
      unsignedBytesHeld: settings.unsignedBytesHeld,
      spoolBytes: settings.spoolBytes,
      queueBytes: settings.queueBytes,
      doneMarks: 1000,
    },
    sessionFile: new SessionFile('/isolated/link'),
    chunkLog: new ChunkLog(
      {
        ...{ mode: 'off', interfaces: [], section: { application: 'sluice link' }, fileBytes: 2 ** 20, fileAgeMs: 1e6 },
        ...{ totalBytes: 2 ** 21, bufferBytes: 2 ** 20, flushMs: 500, retryMs: 5000 },
      },
      NO_STORAGE,
      { wallMs: () => Date.now(), upMs: () => performance.now() },
    ),
    logger,
    toReceiver: (message) => announcer.say(message),
  });
  send = wire.connect({
    process: self(),
    parse: parseReceiverMessage,
    onMessage: (message) => pipeline.obey(message),
    hello: () => ({
      type: 'hello',
      protocol: LINK_PROTOCOL,
      tsi: pipeline.machine.highestLive,
      io: 'portable',
      receiveBuffer: 0,
    }),
    onConnect: () => void announcer.announce(),
  });
  pipeline.start(source);
  setInterval(() => {
    pipeline.tick();
    announcer.tick();
  }, 1000);
  return { pipeline };
}

function policyOf(channel: string): ChannelPolicy {
  return {
    channel,
    transportKeys: [KEYS.transport.verifier.keyid],
    releaseKeys: [KEYS.release.verifier.keyid, KEYS.second.verifier.keyid],
    releaseSignatures: 2,
    types: ['image', 'chart', 'cve-db', 'file'],
    repositories: ['**'],
    paths: ['**'],
    maxBytes: 2 ** 24,
    maxArtifacts: 100,
  };
}

const channelsOf = ({
  channels,
}: Settings): ReadonlyMap<
  string,
  Omit<VerifyContext, 'verifiers'> & { readonly verifiers: ReadonlyMap<string, PublicKey> }
> => new Map(channels.map((channel) => [channel, { policy: policyOf(channel), verifiers: VERIFIERS, sha256 }]));

const RECONCILE_MS = 5000;
const SWEEP_MS = 1000;

/** `sluice receiver`, wired as its `run.ts` does it. */
export async function runSimulatedReceiver({
  settings,
  wire,
  redis,
  say,
  swept,
}: Surroundings): Promise<ReceiverProcess> {
  const logger = loggerOf('receiver', say);
  const ledger = new ReceiverLedger('/isolated/state/ledger.sqlite');
  const channels = channelsOf(settings);
  const store = await openFsStore('/isolated/store', 'receiver');
  const queue = new SimulatedQueue(redis);
  const importers = [KEYS.importer.verifier];
  const onDoubt = (bundle: Digest): void => void pipeline.doubt(bundle);
  const link = new LinkState();
  const catchUp = new CatchUp({ ledger, logger, heard: (channel) => link.heartbeatAge(channel) !== undefined });
  const outbox = new Outbox({ ledger, queue, logger, importers, onAlarm: () => undefined, onDoubt, catchUp });
  const peers = new Set<(message: ReceiverToLink) => boolean>();
  const toLink = (message: ReceiverToLink): void => {
    for (const send of peers) send(message);
  };
  const missing = new MissingBundles(ledger, logger, (channel, id) => {
    toLink({ type: 'allow', channel, digests: [id] });
  });
  const histories = new Histories({ ledger, logger, channels, toLink });
  const pipeline = new ReceiverPipeline({
    ...{ store, checks: new SpoolChecks(), judge: new Judge(channels.values()), ledger, logger, channels, gates: [] },
    quarantine: new Quarantine('/isolated/quarantine', 20),
    statementBytes: 65_536,
    places: BOUNDLESS,
    toLink,
    onPublished: () => void outbox.reconcile(),
  });
  pipeline.resume();
  queue.onResult((result) => {
    if (result.outcome === 'completed') outbox.completed(result.bundle, result.receipt);
    else void outbox.reconcile();
  });
  wire.listen({
    process: self(),
    parse: parseLinkMessage,
    onConnect: (send) => {
      peers.clear();
      peers.add(send);
    },
    onMessage: (message) => hear(message, { pipeline, histories, missing, ledger, link, logger, channels }),
  });
  setInterval(() => void outbox.reconcile(), RECONCILE_MS);
  void outbox.reconcile();
  const retention = new Retention({
    ...{ store, ledger, logger, open: () => pipeline.open, now: Date.now },
    rules: { importedForMs: settings.keptMs, failedForMs: settings.keptMs, storeBytes: settings.storeBytes },
  });
  const sweep = (): Promise<void> =>
    pipeline.alone(async () => {
      try {
        await retention.sweep();
        swept();
      } catch (error) {
        if (typeof (error as { readonly code?: unknown }).code !== 'string') throw error;
        logger.error({ err: error }, 'old bundles could not be taken out of the store; it is tried again');
      }
    });
  if (settings.sweeps) setInterval(() => void sweep(), SWEEP_MS);
  const gaps = new Gaps({
    ...{ channels: settings.channels, open: () => pipeline.open, missing, ledger, spoolDirectory: '/isolated/spool' },
  });
  const tickets = new Tickets({ gaps, ledger, logger, signer: KEYS.ticket.signer });
  return { pipeline, ledger, link, outbox, gaps, tickets };
}

const counter = { inc: () => undefined };
const NO_METRICS = { counter: () => counter, gauge: () => undefined } as unknown as Metrics;

const RETRY = { transientFirst: 500, transientMax: 4000, operatorFirst: 2000, operatorMax: 8000 };

/** `sluice importer`, wired as its `run.ts` does it. */
export async function runSimulatedImporter(
  { settings, redis, say }: Surroundings,
  home: ImportPorts['home'],
): Promise<Jobs> {
  const logger = loggerOf('importer', say);
  const ports: Omit<ImportPorts, 'onEvent'> = {
    store: await openFsStore('/isolated/store', 'importer'),
    trust: channelsOf(settings),
    ledger: new ImporterLedger('/isolated/importer/ledger.sqlite'),
    home,
    destinations: [],
    replicationPolicies: [],
    replication: { pollMs: 100, deadlineMs: 10_000 },
    projects: { create: true, metadata: {} },
    files: new FileSite('/isolated/files/site'),
    signer: KEYS.importer.signer,
    seconds: () => Math.floor(Date.now() / 1000),
  };
  const jobs = new Jobs({ ports, logger, metrics: NO_METRICS });
  startSimulatedWorker({
    redis,
    handle: (job) => jobs.handle(job),
    pace: (error, attempts) => paceOf(error, attempts, RETRY),
  });
  return jobs;
}
