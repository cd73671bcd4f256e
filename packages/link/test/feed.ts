import { createJsonLogger } from '@sluice/base';
import { createCodec, PROFILES } from '@sluice/fec';
import { ChunkLog, directoryStorage } from '@sluice/pcapng';
import type { DatagramSource, Digest, LinkKey, LinkToReceiver, ReceivedBatch } from '@sluice/ports';
import { DEFAULT_LIMITS, type PassOrder, type SendObject, SendMachine } from '@sluice/transfer';
import { makeLinkKey } from '@sluice/trust';
import { onTestFinished } from 'vitest';
import { EndedKeys } from '../src/ended-keys.ts';
import { LinkPipeline } from '../src/pipeline.ts';
import { SessionFile } from '../src/session-file.ts';
import type { SpoolLimits } from '../src/spool.ts';
import { digestOf, LIMITS } from './samples.ts';

const KEY_BYTES = 32;
export const keyOf = (asid: number, channel: string, seed = asid): LinkKey =>
  makeLinkKey({ asid, channel, algorithm: 'HMAC-SHA-256-128', key: new Uint8Array(KEY_BYTES).fill(seed + 1) });
const KEYS = [keyOf(0, 'prod'), keyOf(1, 'lab')];
const STATEMENT = 'application/vnd.dsse.envelope.v1+json';

/** The sending half: passes of bundles as datagrams. */
export class Feed {
  readonly #contents = new Map<Digest, Uint8Array>();
  readonly #machine: SendMachine;
  #now = 0;

  constructor(tsi: number, keys: readonly LinkKey[] = KEYS) {
    const settings = {
      symbolBytes: 1408,
      profile: PROFILES.robust,
      rate: Infinity,
      outageMs: 0,
      groupBytes: 2 ** 24,
      statementLeadMs: 0,
    };
    const source = {
      read: (digest: Digest, offset: number, into: Uint8Array): void => {
        into.set((this.#contents.get(digest) ?? new Uint8Array()).subarray(offset, offset + into.length));
      },
    };
    const parts = { codec: createCodec(), source, wallSeconds: () => 1_800_000_000, onEvent: () => undefined };
    this.#machine = new SendMachine(tsi, keys, settings, parts);
  }

  object(bytes: Uint8Array, contentType: SendObject['contentType'] = 'application/octet-stream'): SendObject {
    const digest = digestOf(bytes);
    this.#contents.set(digest, bytes);
    return { digest, size: bytes.length, contentType };
  }

  order(statements: readonly Uint8Array[], objects: readonly Uint8Array[], pass = 0): PassOrder {
    return {
      bundle: 'b',
      asid: 0,
      pass,
      statements: statements.map((bytes) => this.object(bytes, STATEMENT)),
      objects: objects.map((bytes) => this.object(bytes)),
    };
  }

  heartbeat(body: string): Uint8Array[] {
    const bytes = Buffer.from(body);
    this.#machine.heartbeat(0, this.object(bytes, 'application/vnd.sluice.heartbeat+json'), bytes);
    return this.#depart();
  }

  pass(order: PassOrder): Uint8Array[] {
    this.#machine.submit(order);
    return this.#depart();
  }

  #depart(): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    for (;;) {
      const { at, batch } = this.#machine.depart(this.#now);
      if (batch === undefined && at === Infinity) return datagrams;
      this.#now = Math.max(this.#now, at);
      for (let i = 0; i < (batch?.count ?? 0); i += 1) {
        const { bytes, size } = batch ?? { bytes: new Uint8Array(), size: 0 };
        datagrams.push(bytes.slice(i * size, (i + 1) * size));
      }
    }
  }
}

/** A socket that gives what the test hands it, in batches of whatever lengths. */
export class HandedSource implements DatagramSource {
  readonly port = 1;
  #onBatch: (batch: ReceivedBatch) => void = () => undefined;

  start(onBatch: (batch: ReceivedBatch) => void): void {
    this.#onBatch = onBatch;
  }
  give(datagrams: readonly Uint8Array[], batch = 64): void {
    for (let first = 0; first < datagrams.length; first += batch) {
      const some = datagrams.slice(first, first + batch);
      const lengths = some.map(({ length }) => length);
      const offsets = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, n) => sum + n, 0));
      const bytes = new Uint8Array(Buffer.concat(some));
      this.#onBatch({ bytes, offsets, lengths, count: some.length });
      // The buffer belongs to the source: the next receive writes over it.
      bytes.fill(0xee);
    }
  }
  kernelDrops(): number {
    return 0;
  }
  receiveBuffer(): number {
    return 0;
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

// Each makes a listener on standard output: one is enough.
const logger = createJsonLogger('test', { level: 'fatal' });

/** Ends of the datagrams in a chunk log. */
const ENDS = { sourceAddress: '192.0.2.1', destinationAddress: '192.0.2.2' };

/** A link without its sockets: spool and state in a directory, and what it told the receiver. */
export class Link {
  readonly source = new HandedSource();
  readonly said: LinkToReceiver[] = [];
  readonly pipeline: LinkPipeline;
  readonly chunkLog: ChunkLog;

  constructor(
    directory: string,
    limits: Partial<SpoolLimits> = {},
    { mode = 'off', keys = KEYS }: { readonly mode?: 'off' | 'full'; readonly keys?: readonly LinkKey[] } = {},
  ) {
    const log = {
      mode,
      interfaces: [{ ...ENDS, name: 'link', sourcePort: 1, destinationPort: 1 }],
      section: { application: 'test' },
      fileBytes: 2 ** 20,
      fileAgeMs: 1000,
      totalBytes: 2 ** 21,
      bufferBytes: 2 ** 20,
      flushMs: 1000,
      retryMs: 0,
    } as const;
    const clock = { wallMs: () => 0, upMs: () => 0 };
    this.chunkLog = new ChunkLog(log, directoryStorage(`${directory}/log`), clock);
    this.pipeline = new LinkPipeline({
      keys,
      limits: DEFAULT_LIMITS,
      spoolDirectory: `${directory}/spool`,
      spoolLimits: { ...LIMITS, ...limits },
      sessionFile: new SessionFile(`${directory}/state`),
      endedKeys: new EndedKeys(`${directory}/state`),
      chunkLog: this.chunkLog,
      logger,
      toReceiver: (message) => this.said.push(message),
    });
    this.pipeline.start(this.source);
    onTestFinished(() => this.pipeline.spool.close());
  }

  /** Objects that were named whole, in order. */
  get objects(): (LinkToReceiver & { readonly type: 'object' })[] {
    return this.said.filter((message) => message.type === 'object');
  }

  verdict(code: Parameters<LinkPipeline['machine']['counters']['verdicts']['get']>[0]): number {
    return this.pipeline.machine.counters.verdicts.get(code) ?? 0;
  }
}
