import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { MediaAnswer } from '@sluice/link';
import { type CaptureFault, type CaptureItem, readChunkLog } from '@sluice/pcapng';
import { OperationalError } from '@sluice/ports';
import { parseArguments, RefusedError, UsageError } from './arguments.ts';
import { importInWords } from './import-report.ts';
import { parsePartName } from './media-files.ts';
import { Progress } from './progress.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

const FRAMES_BYTES = 64 * 1024;
const ANSWER_BYTES = 16 * 1024 * 1024;
/** A pause of the sender that is kept: it lets statements be judged before what they allow. */
const PAUSE_NS = 50_000_000n;
/** No pause is longer, and no time of a datagram that jumps by more is believed. */
const JUMP_NS = 10_000_000_000n;
/** Damages of one file that are named. */
const FAULTS_NAMED = 5;

/** What was read of one export, and what link made of it. */
export interface MediaImport extends MediaAnswer {
  /** Name that its parts share; that of the file for any other capture. */
  readonly session: string;
  readonly parts: number;
  /** Numbers of parts that are not there. */
  readonly missing: readonly number[];
  readonly damaged: readonly {
    readonly file: string;
    readonly code: string;
    readonly offset: number;
    readonly places: number;
  }[];
}

interface Session {
  readonly name: string;
  readonly files: readonly string[];
  readonly parts: number;
  readonly missing: readonly number[];
}

/** `sluice import-media DIR`: hands carried media to link. The status is 0 when every object in them is whole. */
export async function importMedia(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('import-media'));
  const [directory] = positionals;
  if (directory === undefined || positionals.length > 1) throw new UsageError('import-media takes one directory');
  const sessions = sessionsIn(directory);
  if (sessions.length === 0)
    throw new RefusedError(`there is no capture in ${directory}; name the directory that was carried`);
  const imports: MediaImport[] = [];
  for (const session of sessions) imports.push(await takeIn(session, values.socket));
  if (values.json === true) sayJson(JSON.stringify(imports));
  else for (const each of imports) say(...importInWords(each));
  return imports.every(isComplete) ? 0 : 1;
}

/** Everything that the media name is there. */
export const isComplete = ({ objects }: Pick<MediaAnswer, 'objects'>): boolean =>
  objects.length > 0 && objects.every(({ state }) => state === 'whole' || state === 'known');

/** The exports in a directory, and other captures each by itself. */
function sessionsIn(directory: string): Session[] {
  const names = readdirSync(directory)
    .filter((name) => name.endsWith('.pcapng'))
    .toSorted();
  const bySession = Map.groupBy(names, (name) => parsePartName(name)?.session ?? name);
  return [...bySession].map(([name, own]) => {
    const files = own.map((each) => join(directory, each));
    const parts = parsePartName(own[0] ?? '')?.parts ?? 1;
    const there = new Set(own.map((each) => parsePartName(each)?.part ?? 1));
    const missing = Array.from({ length: parts }, (_, i) => i + 1).filter((part) => !there.has(part));
    return { name, files, parts, missing };
  });
}

/** One file, read to where it can be read. */
class PartReader {
  readonly file: string;
  readonly faults: CaptureFault[] = [];
  readonly #items: AsyncGenerator<CaptureItem>;
  payload: Uint8Array | undefined;
  time = 0n;

  constructor(file: string) {
    this.file = file;
    this.#items = readChunkLog([file], { salvage: true });
  }

  /** The next datagram; its time is that of the one before where it cannot be. */
  async next(): Promise<boolean> {
    for (;;) {
      const next = await this.#items.next();
      if (next.done === true) {
        this.payload = undefined;
        return false;
      }
      const item = next.value;
      if (item.kind === 'fault') this.faults.push(item);
      if (item.kind !== 'datagram' || item.udp.payload.length < item.udp.originalLength) continue;
      const jump = item.timestampNs - this.time;
      if (this.time === 0n || (jump >= 0n && jump < JUMP_NS)) this.time = item.timestampNs;
      this.payload = item.udp.payload;
      return true;
    }
  }
}

/** The datagrams of all parts in the order in which they were made. */
async function* merged(
  parts: readonly PartReader[],
): AsyncGenerator<{ readonly payload: Uint8Array; readonly time: bigint }> {
  let open: PartReader[] = [];
  for (const part of parts) if (await part.next()) open.push(part);
  while (open.length > 0) {
    const first = open.reduce((a, b) => (b.time < a.time ? b : a));
    if (first.payload !== undefined) yield { payload: first.payload, time: first.time };
    if (!(await first.next())) open = open.filter((part) => part !== first);
  }
}

async function takeIn({ name, files, parts, missing }: Session, socketPath: string): Promise<MediaImport> {
  const readers = files.map((file) => new PartReader(file));
  const total = files.reduce((sum, file) => sum + statSync(file).size, 0);
  const link = await LinkMedia.open(socketPath);
  const progress = new Progress({ what: 'import' });
  let done = 0;
  let before: bigint | undefined;
  try {
    for await (const { payload, time } of merged(readers)) {
      const gap = before === undefined ? 0n : time - before;
      if (gap >= PAUSE_NS) await link.pause(Number(gap / 1_000_000n));
      before = before === undefined || time > before ? time : before;
      await link.send(payload);
      done += payload.length;
      progress.at(done, total);
    }
    const answer = await link.end();
    const damaged = readers.flatMap(({ file, faults }) =>
      faults
        .slice(0, FAULTS_NAMED)
        .map(({ code, offset }) => ({ file: basename(file), code, offset, places: faults.length })),
    );
    return { session: name, parts, missing, damaged, ...answer };
  } finally {
    progress.end();
    link.close();
  }
}

/** The media socket of link. */
class LinkMedia {
  readonly #socket: Socket;
  readonly #frames = Buffer.alloc(FRAMES_BYTES);
  readonly #answer: Promise<string>;
  #used = 0;

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#answer = new Promise((resolve, reject) => {
      let text = '';
      socket.setEncoding('utf8');
      socket.on('data', (piece: string) => {
        text = (text + piece).slice(0, ANSWER_BYTES);
      });
      socket.once('error', (cause) => reject(unavailable(path, cause)));
      socket.once('close', () =>
        text.endsWith('\n') ? resolve(text) : reject(unavailable(path, new Error('it hung up before the end'))),
      );
    });
    // Who waits for it hears of it.
    this.#answer.catch(() => undefined);
  }

  static async open(path: string): Promise<LinkMedia> {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
    } catch (cause) {
      throw unavailable(path, cause);
    }
    return new LinkMedia(socket, path);
  }

  async send(datagram: Uint8Array): Promise<void> {
    if (this.#used + 2 + datagram.length > this.#frames.length) await this.#flush();
    if (2 + datagram.length > this.#frames.length || datagram.length === 0) return;
    this.#frames.writeUInt16BE(datagram.length, this.#used);
    this.#frames.set(datagram, this.#used + 2);
    this.#used += 2 + datagram.length;
  }

  async pause(ms: number): Promise<void> {
    await this.#flush();
    await setTimeout(ms);
  }

  async end(): Promise<MediaAnswer> {
    await this.#flush();
    this.#socket.write(Buffer.alloc(2));
    return JSON.parse(await this.#answer) as MediaAnswer;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #flush(): Promise<void> {
    const frames = Buffer.from(this.#frames.subarray(0, this.#used));
    this.#used = 0;
    if (frames.length === 0 || this.#socket.write(frames)) return;
    await Promise.race([once(this.#socket, 'drain'), this.#answer]);
  }
}

function unavailable(path: string, cause: unknown): OperationalError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new OperationalError(
    'control-socket',
    `the media socket ${path} does not take the files (${why}); is link running with a "media" section, is no other import under way, and may you open the socket?`,
    { retryable: true, cause },
  );
}
