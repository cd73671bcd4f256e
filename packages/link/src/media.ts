import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { readTsi, tsiClass } from '@sluice/alc';
import { listenUnix, type Logger } from '@sluice/base';
import { createCodec } from '@sluice/fec';
import type { LinkKey } from '@sluice/ports';
import {
  type ObjectInfo,
  type ReceiveEvent,
  type ReceiveLimits,
  ReceiveMachine,
  type SpoolPort,
} from '@sluice/transfer';
import { sha256 } from '@sluice/trust';
import type { LinkPipeline } from './pipeline.ts';

export interface MediaParts {
  readonly path: string;
  readonly mode: number;
  readonly pipeline: LinkPipeline;
  readonly limits: ReceiveLimits;
  /** Bytes waiting for the disk at which nothing more is read. */
  readonly queueBytes: number;
  readonly logger: Logger;
}

/** Length of a datagram, before each: 0 ends. */
const LENGTH_BYTES = 2;
/** Nobody says anything for so long: it is given up. */
const IDLE_MS = 60_000;
const WAIT_MS = 10;
/** How long the disk gets for what is left. */
const FLUSH_MS = 60_000;
/** Objects of which the answer speaks. */
const OBJECTS_MAX = 10_000;

/** What became of an object that the media name. */
export interface MediaObject {
  readonly channel: string;
  readonly digest: string;
  readonly size: number;
  /** `known`: it was there before. `refused`: there was no room, or no leave. */
  readonly state: 'whole' | 'partial' | 'known' | 'refused';
  readonly blocks: number;
  readonly stored: number;
}

export interface MediaAnswer {
  readonly datagrams: number;
  /** Not of a media session: passed over. */
  readonly foreign: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly recoveredSymbols: number;
  readonly objects: readonly MediaObject[];
}

/** One import: a machine of its own, so that no session of the link is touched, and the spool of the link. */
class MediaIntake {
  readonly #parts: MediaParts;
  readonly #machine: ReceiveMachine;
  readonly #leave: () => void;
  readonly #objects = new Map<
    string,
    { info: ObjectInfo; state: MediaObject['state']; blocks: number; stored: number }
  >();
  #datagrams = 0;
  #foreign = 0;

  constructor(parts: MediaParts) {
    this.#parts = parts;
    const keys: (LinkKey | undefined)[] = [];
    for (const key of parts.pipeline.keys) keys[key.asid] = key;
    const spool: SpoolPort = {
      open: (info) => {
        const opened = parts.pipeline.spool.open(info);
        const state = opened === 'complete' ? 'known' : typeof opened === 'string' ? 'refused' : 'partial';
        this.#note(info, state);
        return opened;
      },
      block: (...args) => {
        const verdict = parts.pipeline.spool.block(...args);
        const object = this.#objects.get(nameOf(args[0]));
        if (verdict === 'stored' && object !== undefined) object.stored += 1;
        return verdict;
      },
    };
    const onEvent = (event: ReceiveEvent): void => {
      // A heartbeat says how the sender is now; one that was carried says nothing.
      if (event.type === 'object')
        Object.assign(this.#note(event.info, 'partial'), { blocks: event.blocks, stored: event.stored });
      if (event.type === 'object-whole') this.#note(event.info, 'whole');
    };
    this.#machine = new ReceiveMachine({ keys, codec: createCodec(), sha256, spool, onEvent }, parts.limits, 0);
    this.#leave = parts.pipeline.adopt(this.#machine);
  }

  take(datagram: Uint8Array): void {
    this.#datagrams += 1;
    // The link's own sessions are the fibre's alone: what was recorded there must not come again by hand.
    if (datagram.length < 16 || tsiClass(readTsi(datagram, 0)) !== 'media') this.#foreign += 1;
    else this.#machine.receive(datagram, 0, datagram.length, performance.now() * 1e6);
  }

  /** Waits while the disk has enough to do. */
  async room(): Promise<void> {
    while (this.#parts.pipeline.spool.queuedBytes > this.#parts.queueBytes / 2) await setTimeout(WAIT_MS);
  }

  async answer(): Promise<MediaAnswer> {
    const end = performance.now() + FLUSH_MS;
    while (this.#parts.pipeline.spool.volatileBytes > 0 && performance.now() < end) await setTimeout(WAIT_MS);
    const verdicts = Object.fromEntries(this.#machine.counters.verdicts);
    const objects = [...this.#objects.values()].slice(0, OBJECTS_MAX).map(({ info, state, blocks, stored }) => ({
      ...{ channel: info.channel, digest: info.digest, size: info.size },
      ...{ state, blocks, stored },
    }));
    const { recoveredSymbols } = this.#machine.counters;
    return { datagrams: this.#datagrams, foreign: this.#foreign, verdicts, recoveredSymbols, objects };
  }

  end(): void {
    this.#leave();
  }

  #note(info: ObjectInfo, state: MediaObject['state']) {
    const known = this.#objects.get(nameOf(info));
    // What came whole by these files and was taken meanwhile is not what was there before.
    if (known !== undefined) {
      if (known.state !== 'whole') known.state = state;
      return known;
    }
    const made = { info, state, blocks: 0, stored: 0 };
    this.#objects.set(nameOf(info), made);
    return made;
  }
}

const nameOf = (info: ObjectInfo): string =>
  `${info.channel}/${info.digest}/${String(info.symbolBytes)}/${String(info.maxBlock)}`;

/**
 * Takes in carried media: datagrams over a Unix socket, each after its length in two bytes, 0 at the end; then one line of
 * JSON comes back. They are judged by the same machine as those of the fibre and end in the same spool, so that both fill
 * each other's holes. No faster than the disk takes it, and a few at a time: the link has precedence.
 */
export async function serveMedia(parts: MediaParts): Promise<{ close(): Promise<void> }> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    void serve(socket, parts).catch((error: unknown) => {
      parts.logger.warn({ reason: String(error) }, 'an import of media ended early');
      socket.destroy();
    });
  });
  // One at a time: each has memory of its own.
  server.maxConnections = 1;
  await listenUnix(server, parts.path, { mode: parts.mode });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
      }),
  };
}

async function serve(socket: Socket, parts: MediaParts): Promise<void> {
  const intake = new MediaIntake(parts);
  try {
    let rest: Buffer = Buffer.alloc(0);
    // Left open at the end: the answer goes back by it.
    for await (const piece of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      let at = 0;
      for (; at + LENGTH_BYTES <= rest.length;) {
        const length = rest.readUInt16BE(at);
        if (length === 0) {
          const answer = await intake.answer();
          parts.logger.info({ datagrams: answer.datagrams, objects: answer.objects.length }, 'media taken in');
          socket.end(`${JSON.stringify(answer)}\n`);
          return;
        }
        if (at + LENGTH_BYTES + length > rest.length) break;
        intake.take(rest.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length));
        at += LENGTH_BYTES + length;
      }
      rest = rest.subarray(at);
      await intake.room();
      // What came by the fibre meanwhile goes first.
      await setImmediate();
    }
  } finally {
    intake.end();
  }
}
