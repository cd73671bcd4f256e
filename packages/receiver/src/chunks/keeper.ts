import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import type { ClosedLog, LogRecord } from '@sluice/bundle';
import { describeLog, logNumber } from '@sluice/pcapng';
import type { Digest } from '@sluice/ports';
import type { Signer } from '@sluice/trust';
import { type Hold, holdsIn, isHeld } from './holds.ts';
import { IndexWriter, readIndex } from './index-file.ts';

const STORED = '.zst';
/** What is not complete. */
const UNFINISHED = '.new';
/** Most of a log is compressed or encrypted already: more than a quick look gains nothing. */
const LEVEL = 1;
const UNDER_MAX = 16;
/** Number of the first file that link writes. */
const FIRST = 1;
const NS_PER_MS = 1_000_000n;

export interface KeeperOptions {
  readonly directory: string;
  readonly signer: Signer;
  /** Bytes of all files that no hold exempts. */
  readonly totalBytes: number;
}

export interface KeeperState {
  /** Unix milliseconds of the oldest datagram from which on nothing lacks; undefined before the first file. */
  readonly reaches: number | undefined;
  /** Before that something was taken away, or lost: it is no young log. */
  readonly retained: boolean;
  readonly files: number;
  readonly bytes: number;
  readonly heldFiles: number;
  readonly heldBytes: number;
  /** Digest of the index's last line. */
  readonly head: Digest | null;
  /** Why the last round did not come to its end. */
  readonly failure: string | undefined;
}

/** Before there is anything. */
export const NOTHING_KEPT: KeeperState = {
  ...{ reaches: undefined, retained: false, files: 0, bytes: 0, heldFiles: 0, heldBytes: 0 },
  ...{ head: null, failure: undefined },
};

/** Hashes what passes through. */
class Tap extends Transform {
  readonly #hash = createHash('sha256');
  bytes = 0;

  override _transform(piece: Uint8Array, _encoding: string, done: TransformCallback): void {
    this.#hash.update(piece);
    this.bytes += piece.length;
    done(undefined, piece);
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}`;
  }
}

/**
 * Keeps a chunk log that link writes: closed files are compressed, hashed and entered in a signed index, old ones go. Link
 * never waits for it, and what it cannot do now it does later.
 */
export class ChunkKeeper {
  readonly #options: KeeperOptions;
  readonly #index: IndexWriter;
  /** Files in the index that are there, by number. */
  readonly #kept = new Map<number, ClosedLog>();
  /** Files that went by the index, and may be there still. */
  readonly #going = new Set<string>();
  #retained = false;
  #holds: readonly Hold[] = [];
  #failure: string | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    const index = readIndex(options.directory);
    this.#index = new IndexWriter(options.directory, options.signer, index);
    for (const record of index.records) this.#enter(record);
  }

  /** One round; `onClosed` hears of each file that was entered. A failure of the disk is kept for the state. */
  async round(onClosed: (record: ClosedLog, head: Digest | null) => void = () => undefined): Promise<KeeperState> {
    try {
      const names = await readdir(this.#options.directory);
      this.#holds = holdsIn(this.#options.directory);
      for (const name of names) if (name.endsWith(UNFINISHED)) await rm(this.#path(name), { force: true });
      for (const name of closedIn(names)) {
        const number = logNumber(name) ?? 0;
        // Entered, and then there was no time to take it away.
        if (!this.#kept.has(number)) {
          onClosed(await this.#close(name, number), this.#index.head);
        }
        await unlink(this.#path(name));
      }
      for (const name of names) if (this.#going.has(name)) await rm(this.#path(name), { force: true });
      this.#going.clear();
      await this.#retain();
      this.#failure = undefined;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
      this.#failure = error.message;
    }
    return this.state();
  }

  state(): KeeperState {
    const holds = this.#holds;
    const kept = this.#inOrder();
    const reach = reachOf(kept);
    const held = kept.filter((record) => isHeld(holds, record));
    const bytes = (records: readonly ClosedLog[]): number => records.reduce((sum, record) => sum + record.bytes, 0);
    return {
      reaches: reach?.from,
      retained: reach === undefined ? this.#retained : reach.number > FIRST,
      files: kept.length,
      bytes: bytes(kept),
      heldFiles: held.length,
      heldBytes: bytes(held),
      head: this.#index.head,
      failure: this.#failure,
    };
  }

  #inOrder(): ClosedLog[] {
    return [...this.#kept.values()].toSorted((a, b) => a.number - b.number);
  }

  async #close(name: string, number: number): Promise<ClosedLog> {
    const from = this.#path(name);
    const stored = `${name}${STORED}`;
    const unfinished = this.#path(`${stored}${UNFINISHED}`);
    const [plain, packed] = [new Tap(), new Tap()];
    const compress = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });
    await pipeline(createReadStream(from), plain, compress, packed, createWriteStream(unfinished, { mode: 0o640 }));
    await synced(unfinished);
    await rename(unfinished, this.#path(stored));
    await synced(this.#options.directory);
    const { comment, statistics } = await describeLog(from);
    const modified = (await stat(from)).mtimeMs;
    const record: ClosedLog = {
      action: 'closed',
      number,
      name: stored,
      digest: packed.digest(),
      bytes: packed.bytes,
      plain: { digest: plain.digest(), bytes: plain.bytes },
      // A file that a crash cut off has no end: when it was opened and written last is known.
      from: statistics === undefined ? openedAt(name) : Number(statistics.startNs / NS_PER_MS),
      to: statistics === undefined ? Math.round(modified) : Number(statistics.endNs / NS_PER_MS),
      datagrams: statistics?.written ?? 0,
      droppedByLog: statistics?.droppedByLog ?? 0,
      droppedByKernel: statistics?.droppedByKernel ?? 0,
      under: underOf(comment),
    };
    this.#index.append(record);
    this.#kept.set(number, record);
    return record;
  }

  /** The oldest go while there is too much, but for what is held. */
  async #retain(): Promise<void> {
    const holds = this.#holds;
    const loose = this.#inOrder().filter((record) => !isHeld(holds, record));
    let total = loose.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { number, name, digest, bytes } of loose) {
      if (total <= this.#options.totalBytes) break;
      // First the entry: a file without one has been tampered with, an entry without a file was just not removed yet.
      this.#index.append({ action: 'removed', number, name, digest, reason: 'budget' });
      this.#kept.delete(number);
      this.#retained = true;
      this.#going.add(name);
      await rm(this.#path(name), { force: true });
      this.#going.delete(name);
      total -= bytes;
    }
  }

  #enter(record: LogRecord): void {
    if (record.action === 'closed') this.#kept.set(record.number, record);
    else {
      this.#kept.delete(record.number);
      this.#going.add(record.name);
      this.#retained = true;
    }
  }

  #path(name: string): string {
    return join(this.#options.directory, name);
  }
}

/** Files that link has closed, in their order: it has begun a later one. */
function closedIn(names: readonly string[]): string[] {
  const plain = names.filter((name) => logNumber(name) !== undefined && !name.endsWith(STORED));
  const sorted = plain.toSorted((a, b) => (logNumber(a) ?? 0) - (logNumber(b) ?? 0));
  return sorted.slice(0, -1);
}

/** From where on file follows file. */
function reachOf(kept: readonly ClosedLog[]): ClosedLog | undefined {
  let reach: ClosedLog | undefined;
  for (const record of kept.toReversed()) {
    if (reach !== undefined && record.number !== reach.number - 1) break;
    reach = record;
  }
  return reach;
}

/** The time in a file's name, Unix milliseconds. */
function openedAt(name: string): number {
  const [, y, mo, d, h, mi, s] = /^chunks-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(name) ?? [];
  const ms = Date.parse(`${String(y)}-${String(mo)}-${String(d)}T${String(h)}:${String(mi)}:${String(s)}Z`);
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** What link wrote into the file about itself: a few short texts. */
function underOf(comment: string | undefined): Readonly<Record<string, string>> {
  try {
    const read: unknown = JSON.parse(comment ?? '{}');
    if (typeof read !== 'object' || read === null) return {};
    const texts = Object.entries(read).filter(
      (entry): entry is [string, string] => /^[a-z]{1,20}$/.test(entry[0]) && /^[\w:.-]{1,100}$/.test(String(entry[1])),
    );
    return Object.fromEntries(texts.slice(0, UNDER_MAX).map(([name, value]) => [name, value]));
  } catch {
    return {};
  }
}

async function synced(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
