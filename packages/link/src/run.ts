import { mkdirSync } from 'node:fs';
import {
  configError,
  createJsonLogger,
  createNotifier,
  connectLines,
  digestOfConfig,
  installShutdown,
  type LineClient,
  type Logger,
  listenFds,
  loadConfig,
  type Shutdown,
  startWatchdog,
} from '@sluice/base';
import { ChunkLog, directoryStorage } from '@sluice/pcapng';
import {
  LINK_PROTOCOL,
  type LinkKey,
  type LinkToReceiver,
  parseReceiverMessage,
  type ReceiverToLink,
} from '@sluice/ports';
import { receiveArenaBytes } from '@sluice/transfer';
import { makeLinkKey, openTagAccelerator, parseLinkKey, type TagChoice } from '@sluice/trust';
import { type LinkSource, openSource, RECEIVE_BYTES, unixDatagramSend } from '@sluice/udp';
import { Announcer } from './announcer.ts';
import { Arena } from '@sluice/wasm';
import { readHandover, writeHandover } from './handover-file.ts';
import { linkConfig, type LinkConfig } from './config.ts';
import { EndedKeys } from './ended-keys.ts';
import { type MediaParts, serveMedia } from './media.ts';
import { PauseWatch } from './pauses.ts';
import { LinkPipeline } from './pipeline.ts';
import { SessionFile } from './session-file.ts';

const STATUS_MS = 1000;
/** The main loop must turn at least this often, or the watchdog is not petted. */
const STALL_MS = 3000;
/** Objects of the past that are remembered as taken. */
const DONE_MARKS = 200_000;
/** Objects whose progress is told, at a time. */
const PROGRESS_OBJECTS = 200;

/** What `sluice link --config FILE` does. */
export async function runLink(configFile: string): Promise<void> {
  const config = loadConfig(configFile, linkConfig);
  const logger = createJsonLogger('link');
  // Portable means no native code at all: then a program speaks to systemd.
  const notifier = createNotifier(config.io === 'portable' ? {} : { send: unixDatagramSend });
  const shutdown = installShutdown({ logger, notifier });
  if (process.env.SLUICE_SUPERVISED === '1') endWithReceiver(shutdown);
  const { arena, limits, source, tags, pauses } = await openLink(config, configFile);
  logger.info(
    { io: source.io, why: `${source.why}; ${tags.why}`, receiveBuffer: source.receiveBuffer() },
    'link socket open',
  );
  const chunkLog = openChunkLog(config, source.port, () => source.kernelDrops());
  shutdown.add('chunk log', () => chunkLog.close());
  // Messages before the connection wait in the client; it is made after the pipeline, which it feeds.
  const receiver: { client?: LineClient<LinkToReceiver> } = {};
  const announcer = new Announcer(
    () => pipeline.whole(),
    (message) => receiver.client?.send(message) ?? false,
  );
  const keys = keysOf(config, tags.accelerate);
  const pipeline = new LinkPipeline({
    onContext: (context) => describe(chunkLog, config, context),
    keys,
    limits,
    arena,
    spoolDirectory: config.spoolDirectory,
    spoolLimits: {
      unsignedBytesHeld: config.limits.unsignedBytesHeld,
      spoolBytes: config.limits.spoolBytes,
      queueBytes: config.limits.spoolQueueBytes,
      doneMarks: DONE_MARKS,
    },
    sessionFile: new SessionFile(config.stateDirectory),
    endedKeys: new EndedKeys(config.stateDirectory),
    chunkLog,
    logger,
    toReceiver: (message) => announcer.say(message),
  });
  for (const { asid, ended } of config.keys) if (ended) pipeline.endKey(asid);
  shutdown.add('spool', () => pipeline.spool.close());
  const connected = connectReceiver(config, pipeline, announcer, () => helloOf(pipeline, source, keys));
  receiver.client = connected;
  shutdown.add('receiver connection', () => connected.close());
  await startMedia(config, { pipeline, limits, logger }, shutdown);
  takeOver(config, pipeline, logger);
  pipeline.start(source);
  shutdown.add('handover', () => {
    handOver(config, pipeline, logger);
  });
  shutdown.add('link socket', () => source.close());
  let turned = performance.now();
  const timer = setInterval(() => {
    turned = performance.now();
    pipeline.tick();
    connected.send(statusMessage(pipeline, chunkLog, source, pauses.worstMs));
    for (const message of progress(pipeline)) connected.send(message);
    announcer.tick();
  }, STATUS_MS);
  shutdown.add('status', () => {
    clearInterval(timer);
  });
  startWatchdog(notifier, { progress: () => performance.now() - turned < STALL_MS });
  notifier.ready();
  notifier.status(`receiving (${source.io})`);
  logger.info(
    { channels: config.keys.map(({ channel }) => channel), session: pipeline.machine.highestLive },
    'link ready',
  );
}

/** What came and is in no whole block yet: the next process goes on with it, and so a restart costs no datagram. */
function handOver({ stateDirectory }: LinkConfig, { machine }: LinkPipeline, logger: Logger): void {
  try {
    const handed = writeHandover(stateDirectory, machine.handover());
    logger.info({ ...handed }, 'handed over to the next start');
  } catch (err) {
    logger.error({ err }, 'what is in no whole block yet could not be handed over: a later pass brings it');
  }
}

function takeOver({ stateDirectory }: LinkConfig, { machine }: LinkPipeline, logger: Logger): void {
  let [records, bytes] = [0, 0];
  try {
    for (const item of readHandover(stateDirectory)) {
      bytes += machine.takeOver(item);
      records += 1;
    }
  } catch (err) {
    logger.error({ err }, 'what the process before handed over cannot be read: a later pass brings it');
  }
  if (records > 0) logger.info({ records, bytes }, 'taken over from the process before');
}

/** Each chunk log says under what it was received: our configuration, and what the receiver judges by once it is known. */
function describe(chunkLog: ChunkLog, config: LinkConfig, context: Readonly<Record<string, string>> = {}): void {
  chunkLog.describe(JSON.stringify({ mode: config.chunkLog.mode, link: digestOfConfig(config), ...context }));
}

async function startMedia(
  { media, limits: { spoolQueueBytes } }: LinkConfig,
  { limits, ...parts }: Pick<MediaParts, 'pipeline' | 'limits' | 'logger'>,
  shutdown: Shutdown,
): Promise<void> {
  if (media === undefined) return;
  const server = await serveMedia({
    ...parts,
    path: media.socket,
    mode: Number.parseInt(media.socketMode, 8),
    limits: {
      ...limits,
      blockBytes: media.blockBytes,
      unknownToiBytes: Math.min(limits.unknownToiBytes, media.blockBytes),
    },
    queueBytes: spoolQueueBytes,
  });
  shutdown.add('media socket', () => server.close());
}

/** The receiver holds the other end of our standard input: it ends when the receiver does, however that ends. */
function endWithReceiver(shutdown: Shutdown): void {
  process.stdin.resume();
  process.stdin.once('end', () => void shutdown.stop('the receiver that runs this process is gone'));
}

const keysOf = ({ keys }: LinkConfig, accelerate: TagChoice['accelerate']): readonly LinkKey[] =>
  keys.map(({ asid, channel, algorithm, keyFile }) =>
    makeLinkKey({ asid, channel, algorithm, key: parseLinkKey(keyFile.text()) }, accelerate),
  );

const helloOf = ({ machine }: LinkPipeline, source: LinkSource, keys: readonly LinkKey[]): LinkToReceiver => ({
  type: 'hello',
  protocol: LINK_PROTOCOL,
  tsi: machine.highestLive,
  io: source.io,
  receiveBuffer: source.receiveBuffer(),
  keys: keys.map(({ id, asid, channel }) => ({ id, asid, channel })),
});

/** The arena, with the socket that receives into it, what checks tags in it and what watches how late this thread is. */
async function openLink(config: LinkConfig, configFile: string) {
  const limits = { ...config.limits, tois: config.limits.objects, fdtInstances: 64 };
  const arena = Arena.create(receiveArenaBytes(limits) + RECEIVE_BYTES);
  const memory = { bytes: arena.bytes, at: arena.take(RECEIVE_BYTES) };
  const source = await openSource(socketOf(config, configFile), config.io, memory);
  const tags = await openTagAccelerator(source.io);
  return { arena, limits, source, tags, pauses: new PauseWatch() };
}

/** The socket handed in by systemd or the receiver; else one of our own. */
function socketOf(config: LinkConfig, configFile: string): Parameters<typeof openSource>[0] {
  const given = listenFds();
  const chosen = given.find(({ name }) => name === 'link') ?? given[0];
  if (chosen !== undefined) return { fd: chosen.fd };
  if (config.listen !== undefined) return config.listen;
  throw configError(
    'config-invalid',
    `${configFile}: listen is missing and no socket was handed in; start through sluice-link.socket, or add listen.`,
  );
}

function openChunkLog(config: LinkConfig, port: number, kernelDrops: () => number): ChunkLog {
  const { mode, directory, fileBytes, fileAge, totalBytes } = config.chunkLog;
  if (directory !== undefined) mkdirSync(directory, { recursive: true, mode: 0o750 });
  const chunkLog = new ChunkLog(
    {
      mode,
      interfaces: [{ ...DOCUMENTED, name: 'link', sourcePort: port, destinationPort: port }],
      section: { application: 'sluice link' },
      fileBytes,
      fileAgeMs: fileAge,
      totalBytes,
      bufferBytes: 64 * 2 ** 20,
      flushMs: 500,
      retryMs: 5000,
      kernelDrops,
    },
    directoryStorage(directory ?? '.'),
    { wallMs: () => Date.now(), upMs: () => performance.now() },
  );
  describe(chunkLog, config);
  return chunkLog;
}

/** Addresses in the synthesised headers of the chunk log (RFC 5737): the socket does not say who sent. */
const DOCUMENTED = { sourceAddress: '192.0.2.1', destinationAddress: '192.0.2.2' };

function connectReceiver(
  config: LinkConfig,
  pipeline: LinkPipeline,
  announcer: Announcer,
  hello: () => LinkToReceiver,
): LineClient<LinkToReceiver> {
  return connectLines<ReceiverToLink, LinkToReceiver>({
    path: config.receiverSocket,
    parse: (value) => {
      const message = parseReceiverMessage(value);
      return message === undefined
        ? { ok: false, error: 'not a message of the receiver' }
        : { ok: true, value: message };
    },
    onMessage: (message) => pipeline.obey(message),
    hello: () => [hello()],
    onConnect: () => void announcer.announce(),
  });
}

function statusMessage(
  pipeline: LinkPipeline,
  chunkLog: ChunkLog,
  source: LinkSource,
  worstPauseMs: number,
): LinkToReceiver {
  const { machine, spool } = pipeline;
  const { counters } = machine;
  const log = chunkLog.state();
  return {
    type: 'status',
    tsi: machine.highestLive,
    numbers: {
      lost: machine.lost,
      kernelDrops: source.kernelDrops(),
      worstPauseMs,
      blocks: counters.blocks,
      recoveredSymbols: counters.recoveredSymbols,
      evictedSymbols: counters.evictedSymbols,
      unknownToiDropped: counters.unknownToiDropped,
      blockBytes: machine.blockBytes,
      spoolBytes: spool.bytes,
      spoolLimit: spool.limit,
      spoolRoom: spool.room,
      spoolQueuedBytes: spool.queuedBytes,
      chunkLogWritten: log.written,
      chunkLogDropped: log.dropped,
    },
    verdicts: Object.fromEntries(counters.verdicts),
    stageNs: { arrive: source.receiveNs ?? 0, ...machine.stageNs },
    keys: pipeline.authentic,
  };
}

/** How far the objects under way are, or the first of very many. */
function* progress(pipeline: LinkPipeline): Generator<LinkToReceiver> {
  let told = 0;
  for (const object of pipeline.machine.objects()) {
    if (object.whole) continue;
    told += 1;
    if (told > PROGRESS_OBJECTS) return;
    const { channel, digest, size } = object.info;
    yield { type: 'progress', channel, digest, size, blocks: object.partition.blocks, stored: object.storedBlocks };
  }
}
