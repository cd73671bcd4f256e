import { tsiClass } from '@sluice/alc';
import { LASTING_MS, type Logger, rateLimited, type RateLimitedLogger } from '@sluice/base';
import { createCodec } from '@sluice/fec';
import type { ChunkLog } from '@sluice/pcapng';
import type {
  DatagramSource,
  LinkAlarm,
  LinkKey,
  LinkToReceiver,
  ReceivedBatch,
  ReceiverToLink,
  Verdict,
} from '@sluice/ports';
import { type JudgedBatch, type ReceiveEvent, type ReceiveLimits, ReceiveMachine } from '@sluice/transfer';
import { sha256 } from '@sluice/trust';
import type { Arena } from '@sluice/wasm';
import type { EndedKeys } from './ended-keys.ts';
import type { SessionFile } from './session-file.ts';
import { FileSpool, type SpoolEntry, type SpoolLimits } from './spool.ts';

export interface PipelineParts {
  readonly keys: readonly LinkKey[];
  readonly limits: ReceiveLimits;
  readonly spoolDirectory: string;
  readonly spoolLimits: SpoolLimits;
  readonly sessionFile: SessionFile;
  /** Keys that count no more, beside those that the configuration says so of. */
  readonly endedKeys?: EndedKeys;
  readonly chunkLog: ChunkLog;
  /** Where blocks are gathered and a native source receives into; without it datagrams are judged one by one. */
  readonly arena?: Arena;
  readonly logger: Logger;
  readonly toReceiver: (message: LinkToReceiver) => void;
  /** By what the receiver judges, each a digest. */
  readonly onContext?: (context: Readonly<Record<string, string>>) => void;
}

const nowNs = (): number => performance.now() * 1e6;

/**
 * The order of stops on the wire-facing half of the isolated side.
 *
 *    8 arrive    DatagramSource -> runs in the arena           (udp)
 *    9 admit     ReceiveMachine.receiveRuns -> verdicts        (transfer)
 *   10 gather, 11 recover                                      (transfer, within)
 *   12 spool     FileSpool.block                               (this package)
 *      tap       ChunkLog.append: the batch with its verdicts  (pcapng)
 */
export class LinkPipeline {
  readonly machine: ReceiveMachine;
  readonly spool: FileSpool;
  readonly #parts: PipelineParts;
  readonly #verdicts: Verdict[] = [];
  /** Those that fill the spool beside the one of the link. */
  readonly #others = new Set<ReceiveMachine>();
  /** ASIDs of keys that ended. */
  readonly #ended = new Set<number>();
  readonly #alarmed = new Set<string>();
  /** A named state lasts, and is told of again each second: in the log once, and then how often. */
  readonly #alarms: RateLimitedLogger;
  #batches = 0;
  /** The live session that is not on disk yet. */
  #unwritten: number | undefined;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#alarms = rateLimited(parts.logger, { intervalMs: LASTING_MS });
    const { keys, limits, sessionFile, spoolDirectory, spoolLimits } = parts;
    const channels = keys.map((key) => key.channel);
    this.spool = new FileSpool(spoolDirectory, channels, spoolLimits, {
      onWhole: (entry, path) => {
        // Thousands of a bundle: they are no stage of it.
        parts.logger.debug(
          { channel: entry.channel, object: entry.info.digest, bytes: entry.info.size },
          'object whole',
        );
        parts.toReceiver(objectMessage(entry, path));
      },
      onGrown: (entry, path, bytes) => {
        parts.toReceiver({ ...objectMessage(entry, path), type: 'grown', bytes });
      },
      onLost: ({ channel, key }) => {
        this.#forget(channel, key);
      },
      onAlarm: (code, detail) => {
        this.#alarm(code, detail);
      },
    });
    const byAsid: (LinkKey | undefined)[] = [];
    for (const key of keys) byAsid[key.asid] = key;
    const onEvent = (event: ReceiveEvent): void => {
      this.#hear(event);
    };
    const arena = parts.arena === undefined ? {} : { arena: parts.arena };
    const machineParts = {
      keys: byAsid,
      codec: createCodec(),
      sha256,
      spool: this.spool,
      onEvent,
      clock: nowNs,
      ...arena,
    };
    this.machine = new ReceiveMachine(machineParts, limits, sessionFile.read(), sessionFile.readSeen());
    for (const { asid, id } of keys) if (parts.endedKeys?.has(id) === true) this.endKey(asid);
  }

  /** Batches taken so far: moves while datagrams come. */
  get batches(): number {
    return this.#batches;
  }

  start(source: DatagramSource): void {
    const { runs } = this.machine;
    if (source.startRuns === undefined || runs === undefined) source.start((batch) => this.#take(batch));
    else source.startRuns(runs, (count) => this.#takeRuns(count));
  }

  /** What the receiver wants of us. */
  async obey(message: ReceiverToLink): Promise<void> {
    switch (message.type) {
      case 'under': {
        const { config, trust, policy } = message;
        this.#parts.onContext?.({ receiver: config, trust, policy });
        break;
      }
      case 'allow':
        this.#allow(message);
        break;
      case 'settle':
        await this.spool.settle(message.channel, message.key);
        this.#forget(message.channel, message.key);
        break;
      case 'forget':
        await this.spool.forget(message.channel, message.key);
        this.#forget(message.channel, message.key);
        break;
      case 'withdraw':
        this.#forget(message.channel, ...(await this.spool.withdraw(message.channel, message.digests)));
        break;
      case 'end-keys':
        this.#endKeys(message.ids);
    }
  }

  /** For good, and at once: a disk that does not take it is no reason to believe the key until it does. */
  #endKeys(ids: readonly string[]): void {
    const { keys, endedKeys, logger } = this.#parts;
    for (const { asid, channel, id } of keys) {
      if (!ids.includes(id) || endedKeys?.has(id) === true) continue;
      this.endKey(asid);
      logger.warn({ channel, asid, key: id }, 'link key ended');
      try {
        endedKeys?.add(id);
      } catch (err) {
        // The receiver says it again with each connection.
        logger.error({ channel, asid, key: id, err }, 'that the link key ended cannot be written down');
      }
    }
  }

  /** A key is believed no more, by the link's machine and by every other. */
  endKey(asid: number): void {
    this.#ended.add(asid);
    for (const machine of [this.machine, ...this.#others]) machine.endKey(asid);
  }

  get keys(): readonly LinkKey[] {
    return this.#parts.keys;
  }

  /** Authentic datagrams by key id. */
  get authentic(): Readonly<Record<string, number>> {
    const { authentic } = this.machine.counters;
    return Object.fromEntries(this.#parts.keys.map(({ asid, id }) => [id, authentic[asid] ?? 0]));
  }

  /**
   * A machine that fills this spool from somewhere else, while it is open: it hears what is wanted anew and which keys ended,
   * as the link's does.
   * Gives how to take it out again.
   */
  adopt(machine: ReceiveMachine): () => void {
    for (const asid of this.#ended) machine.endKey(asid);
    this.#others.add(machine);
    return () => this.#others.delete(machine);
  }

  #forget(channel: string, ...keys: readonly string[]): void {
    for (const machine of [this.machine, ...this.#others]) machine.forget(channel, ...keys);
  }

  /** Leave to come in. What was taken before is wanted once more then: all that is on air of it counts from now on. */
  #allow({ channel, digests }: ReceiverToLink & { readonly type: 'allow' }): void {
    const keys = this.spool.allow(channel, digests);
    if (keys.length > 0) this.#forget(channel, ...keys);
  }

  /** All whole objects, for a receiver that connects. */
  *whole(): Generator<LinkToReceiver> {
    for (const { entry, path } of this.spool.whole()) yield objectMessage(entry, path);
  }

  tick(): void {
    this.machine.tick(nowNs());
    // A named state is told again while it lasts, once a second.
    this.#alarmed.clear();
    if (this.#unwritten !== undefined) this.#remember(this.#unwritten);
    const { seen } = this.machine;
    if (seen !== undefined) this.#parts.sessionFile.writeSeen(seen);
    const { failure } = this.#parts.chunkLog.state();
    if (failure === undefined) return;
    const isFull = failure === 'ENOSPC' || failure === 'EDQUOT';
    this.#alarm(isFull ? 'chunk-log-full' : 'chunk-log-io', `datagrams are received, and not recorded: ${failure}`);
  }

  /** Makes the session durable. A disk that does not take it is no reason to stop receiving: it is tried again. */
  #remember(tsi: number): void {
    try {
      this.#parts.sessionFile.write(tsi);
      this.#unwritten = undefined;
    } catch (error) {
      this.#unwritten = tsi;
      this.#alarm('session-unwritten', (error as Error).message);
    }
  }

  #take(batch: ReceivedBatch): void {
    this.#batches += 1;
    const now = nowNs();
    for (let i = 0; i < batch.count; i += 1) {
      this.#verdicts[i] = this.machine.receive(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0, now);
    }
    this.#parts.chunkLog.append(batch, this.#verdicts, BigInt(Date.now()) * 1_000_000n);
  }

  #takeRuns(count: number): void {
    this.#batches += 1;
    const { chunkLog } = this.#parts;
    const tap = ({ verdicts, ...batch }: JudgedBatch): void => {
      chunkLog.append(batch, verdicts, BigInt(Date.now()) * 1_000_000n);
    };
    this.machine.receiveRuns(count, nowNs(), chunkLog.off ? undefined : tap);
  }

  #hear(event: ReceiveEvent): void {
    const { logger, toReceiver } = this.#parts;
    switch (event.type) {
      case 'session':
        if (tsiClass(event.tsi) === 'live') this.#remember(event.tsi);
        logger.info({ session: event.tsi }, 'session accepted');
        break;
      case 'epoch-went-back':
        this.#alarm(
          'epoch-went-back',
          `session ${String(event.tsi)} is older than ${String(event.highest)}: was the sender restored from a backup? Restart the sender once its clock is right`,
        );
        break;
      case 'object':
        logger.debug(
          { channel: event.info.channel, object: event.info.digest, bytes: event.info.size, blocks: event.blocks },
          'object announced',
        );
        break;
      case 'object-whole':
        break;
      case 'heartbeat':
        // What is carried or played again says nothing of how the sender is now.
        if (tsiClass(event.tsi) !== 'live') break;
        toReceiver({
          type: 'heartbeat',
          channel: event.channel,
          tsi: event.tsi,
          senderNtp: event.senderNtp ?? 0,
          body: Buffer.from(event.body).toString('utf8'),
        });
        break;
      case 'margin':
        toReceiver({
          type: 'margin',
          channel: event.info.channel,
          digest: event.info.digest,
          worst: event.worst,
          recovered: event.recovered,
        });
    }
  }

  #alarm(code: LinkAlarm, detail: string): void {
    if (this.#alarmed.has(code)) return;
    this.#alarmed.add(code);
    this.#alarms.error({ alarm: code, detail }, `alarm ${code}`);
    this.#parts.toReceiver({ type: 'alarm', code, detail });
  }
}

const objectMessage = ({ channel, key, info }: SpoolEntry, path: string): LinkToReceiver & { type: 'object' } => ({
  type: 'object',
  channel,
  key,
  digest: info.digest,
  size: info.size,
  contentType: info.contentType,
  path,
});
