import { Worker } from 'node:worker_threads';
import type { Digest } from '@sluice/ports';
import type { Location, Root } from './beneath.ts';
import { digestOf } from './hashing.ts';

/** A file's bytes and what they hash to. */
export interface ReadFile {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

/** Files that a thread is asked to read, by the descriptor of their root: threads share these. */
export interface ToReader {
  readonly chunk: number;
  readonly top: number;
  readonly files: readonly Pick<Location, 'path' | 'size'>[];
}

/** The files end to end, each with its length and digest; undefined where one of them could not be read as it should be. */
export interface FromReader {
  readonly chunk: number;
  readonly read:
    { readonly bytes: ArrayBuffer; readonly lengths: Uint32Array; readonly digests: readonly Digest[] } | undefined;
}

/** From so many files on a second thread pays. */
export const WORTH_A_THREAD = 2000;
const CHUNK_FILES = 128;
const CHUNK_BYTES = 2 * 1024 * 1024;
/** Of so many chunks this thread, which packs besides, reads one, and the other thread the rest. */
const SHARE = 3;
/** How far the other thread may be ahead, chunks. */
const AHEAD = 6;

/** Reads and hashes small files in their order, with a second thread where there are many. */
export class ReadAhead implements AsyncDisposable {
  readonly #root: Root;
  readonly #chunks: readonly (readonly Location[])[];
  readonly #worker: Worker | undefined;
  /** Chunks that the other thread has, or had. */
  readonly #coming = new Map<number, Promise<FromReader['read']>>();
  readonly #heard = new Map<number, (read: FromReader['read']) => void>();
  #asked = 0;
  #files: AsyncGenerator<ReadFile>;

  constructor(root: Root, files: readonly Location[]) {
    this.#root = root;
    this.#chunks = inChunks(files);
    if (files.length >= WORTH_A_THREAD) this.#worker = this.#start();
    this.#files = this.#all();
  }

  /** The next of the files that this was made with. Throws as `Root.readWhole`. */
  async next(): Promise<ReadFile> {
    const next = await this.#files.next();
    if (next.done === true) throw new Error('more files are asked for than were given');
    return next.value;
  }

  /** Before the root may be closed: its descriptor is the other thread's too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
  }

  async *#all(): AsyncGenerator<ReadFile> {
    for (const [i, chunk] of this.#chunks.entries()) {
      this.#ask(i);
      const read = await this.#coming.get(i);
      this.#coming.delete(i);
      // What the other thread could not read says here why.
      if (read === undefined) yield* chunk.values().map((file) => readHere(this.#root, file));
      else yield* apart(read);
    }
  }

  /** Has the other thread read what comes soon, without the share that is read here. */
  #ask(now: number): void {
    const worker = this.#worker;
    if (worker === undefined) return;
    for (; this.#asked < Math.min(now + AHEAD, this.#chunks.length); this.#asked += 1) {
      const chunk = this.#asked;
      if (chunk % SHARE === 0) continue;
      const { promise, resolve } = Promise.withResolvers<FromReader['read']>();
      this.#heard.set(chunk, resolve);
      this.#coming.set(chunk, promise);
      const files = (this.#chunks[chunk] ?? []).map(({ path, size }) => ({ path, size }));
      worker.postMessage({ chunk, top: this.#root.descriptor, files } satisfies ToReader);
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./read-ahead-worker.ts', import.meta.url), { name: 'read-ahead' });
    worker.on('message', ({ chunk, read }: FromReader) => {
      this.#heard.get(chunk)?.(read);
      this.#heard.delete(chunk);
    });
    // Nobody waits for a thread that is gone.
    const gone = (): void => {
      for (const resolve of this.#heard.values()) resolve(undefined);
      this.#heard.clear();
    };
    worker.once('error', gone);
    worker.once('exit', gone);
    return worker;
  }
}

function readHere(root: Root, file: Location): ReadFile {
  const bytes = root.readWhole(file);
  return { bytes, digest: digestOf(bytes) };
}

function* apart({ bytes, lengths, digests }: NonNullable<FromReader['read']>): Generator<ReadFile> {
  let at = 0;
  for (const [i, digest] of digests.entries()) {
    const length = lengths[i] ?? 0;
    yield { bytes: new Uint8Array(bytes, at, length), digest };
    at += length;
  }
}

function inChunks(files: readonly Location[]): readonly (readonly Location[])[] {
  const chunks: Location[][] = [];
  let bytes = Infinity;
  for (const file of files) {
    const last = chunks.at(-1);
    bytes += file.size;
    if (last !== undefined && last.length < CHUNK_FILES && bytes <= CHUNK_BYTES) last.push(file);
    else {
      chunks.push([file]);
      bytes = file.size;
    }
  }
  return chunks;
}
