// The background half of the chunk log: writes pieces to files, rotates and retains them, and outlives a full or failing disk.
import { STATISTICS_BYTES } from './limits.ts';
import type { ChunkLogOptions, ChunkLogState, LogClock, Piece } from './log-options.ts';
import { logName, retain } from './rotation.ts';
import { type LogFileHandle, type LogStorage, isSystemError } from './storage.ts';
import { concatenated, interfaceStatistics } from './write-blocks.ts';

/** What one interface saw while one file was open. */
interface Tally {
  received: number;
  dropped: number;
  written: number;
  kernelBefore: number;
}

interface OpenFile {
  readonly name: string;
  readonly handle: LogFileHandle;
  readonly openedUpMs: number;
  bytes: number;
}

interface Surroundings {
  /** Section header and interface descriptions: the start of every file, as it is now. */
  readonly head: () => Uint8Array;
  readonly storage: LogStorage;
  readonly clock: LogClock;
  /** Gives back a piece that is written. */
  readonly release: (piece: Piece) => void;
}

export class LogWriter {
  readonly #options: ChunkLogOptions;
  readonly #world: Surroundings;
  readonly #queue: Piece[] = [];
  readonly #tallies: Tally[];
  #file: OpenFile | undefined;
  #number = 0;
  #renewed = false;
  #running: Promise<void> | undefined;
  #retryUpMs = Number.NEGATIVE_INFINITY;
  #failure: string | undefined;
  #failures = 0;
  #written = 0;
  #dropped = 0;
  #startNs: bigint | undefined;
  #endNs = 0n;

  constructor(options: ChunkLogOptions, world: Surroundings) {
    this.#options = options;
    this.#world = world;
    const kernelBefore = (id: number): number => options.kernelDrops?.(id) ?? 0;
    this.#tallies = options.interfaces.map((_, id) => ({
      received: 0,
      dropped: 0,
      written: 0,
      kernelBefore: kernelBefore(id),
    }));
  }

  seen(interfaceId: number, count: number): void {
    const tally = this.#tallies[interfaceId];
    if (tally !== undefined) tally.received += count;
  }

  drop(interfaceId: number, count: number): void {
    const tally = this.#tallies[interfaceId];
    if (tally !== undefined) tally.dropped += count;
    this.#dropped += count;
  }

  /** The head has changed: the next piece goes into a new file. */
  renew(): void {
    this.#renewed = true;
  }

  push(piece: Piece): void {
    this.#queue.push(piece);
  }

  queuedBytes(): number {
    return this.#queue.reduce((sum, piece) => sum + piece.used, 0);
  }

  state(): Omit<ChunkLogState, 'mode' | 'bufferedBytes'> {
    return {
      state: this.#failure === undefined ? 'ok' : 'failing',
      failure: this.#failure,
      failures: this.#failures,
      file: this.#file?.name,
      written: this.#written,
      dropped: this.#dropped,
    };
  }

  /** Writes until the queue is empty or the disk fails. One run at a time; rejects only for a bug of ours. */
  run(): Promise<void> {
    if (this.#running === undefined && this.#world.clock.upMs() < this.#retryUpMs) return Promise.resolve();
    this.#running ??= this.#drain();
    return this.#running;
  }

  /** A last run that does not wait for the retry time; what still cannot be written is counted as dropped. */
  async close(): Promise<void> {
    await this.#running;
    this.#retryUpMs = Number.NEGATIVE_INFINITY;
    await this.run();
    for (const piece of this.#queue.splice(0)) for (const [id, count] of piece.counts.entries()) this.drop(id, count);
    // After a failure the file is given up already.
    if (this.#failure === undefined) await this.#guarded(() => this.#finish());
  }

  async #drain(): Promise<void> {
    try {
      do {
        await this.#guarded(() => this.#empty());
      } while (this.#queue.length > 0 && this.#failure === undefined);
    } finally {
      // In the same turn as the last look at the queue, so that no piece is left behind.
      this.#running = undefined;
    }
  }

  async #empty(): Promise<void> {
    for (let piece = this.#queue[0]; piece !== undefined; piece = this.#queue[0]) {
      if (this.#isDue(piece.used)) await this.#finish();
      await this.#write(piece);
    }
    // An idle file gets old too.
    if (this.#isDue(0)) await this.#finish();
  }

  /** Runs a step; a failure of the system is counted and the file given up at its last whole block. */
  async #guarded(step: () => Promise<void>): Promise<void> {
    try {
      await step();
      this.#failure = undefined;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#failure = error.code;
      this.#failures++;
      this.#retryUpMs = this.#world.clock.upMs() + this.#options.retryMs;
      await this.#abandon();
    }
  }

  async #write(piece: Piece): Promise<void> {
    this.#file ??= await this.#open();
    const file = this.#file;
    await file.handle.write(piece.bytes.subarray(0, piece.used), file.bytes);
    file.bytes += piece.used;
    this.#queue.shift();
    for (const [id, tally] of this.#tallies.entries()) {
      const count = piece.counts[id] ?? 0;
      tally.written += count;
      this.#written += count;
    }
    this.#startNs ??= piece.firstNs;
    this.#endNs = piece.lastNs;
    piece.used = 0;
    piece.firstNs = undefined;
    piece.counts.fill(0);
    this.#world.release(piece);
  }

  /** True when the open file is too old, or has no room for `more` bytes and its statistics. */
  #isDue(more: number): boolean {
    const file = this.#file;
    if (file === undefined) return false;
    if (this.#renewed) return true;
    const end = file.bytes + more + STATISTICS_BYTES * this.#tallies.length;
    return end > this.#options.fileBytes || this.#world.clock.upMs() - file.openedUpMs >= this.#options.fileAgeMs;
  }

  async #open(): Promise<OpenFile> {
    const { storage, clock } = this.#world;
    this.#renewed = false;
    const head = this.#world.head();
    const seen = await retain(storage, this.#options.totalBytes - this.#options.fileBytes);
    this.#number = Math.max(this.#number, seen) + 1;
    const name = logName(clock.wallMs(), this.#number);
    const handle = await storage.create(name);
    const file: OpenFile = { name, handle, openedUpMs: clock.upMs(), bytes: 0 };
    // Known before the first write, so that a failure there closes it.
    this.#file = file;
    await handle.write(head, 0);
    file.bytes = head.length;
    return file;
  }

  /** Ends the open file with the statistics of its interfaces. */
  async #finish(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const ends = this.#tallies.map((_, id) => this.#options.kernelDrops?.(id) ?? 0);
    const startNs = this.#startNs ?? this.#endNs;
    const blocks = this.#tallies.map((tally, id) =>
      interfaceStatistics(id, {
        startNs,
        endNs: this.#endNs,
        received: tally.received,
        droppedByLog: tally.dropped,
        droppedByKernel: Math.max(0, (ends[id] ?? 0) - tally.kernelBefore),
        written: tally.written,
      }),
    );
    await file.handle.write(concatenated(blocks), file.bytes);
    this.#file = undefined;
    await file.handle.close();
    this.#startNs = undefined;
    for (const [id, tally] of this.#tallies.entries()) {
      Object.assign(tally, { received: 0, dropped: 0, written: 0, kernelBefore: ends[id] ?? 0 });
    }
  }

  async #abandon(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    try {
      await file.handle.truncate(file.bytes);
    } catch (error) {
      this.#count(error);
    }
    try {
      await file.handle.close();
    } catch (error) {
      this.#count(error);
    }
  }

  #count(error: unknown): void {
    if (!isSystemError(error)) throw error;
    this.#failures++;
  }
}
