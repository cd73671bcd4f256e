import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { LinkAlarm } from '@sluice/ports';
import type { SpoolEntry } from './spool.ts';
import { SpoolFile, writeAll } from './spool-file.ts';
import type { SpoolState } from './spool-names.ts';
import { WrittenPrefix } from './written-prefix.ts';

export interface BlockWrite {
  readonly entry: SpoolEntry;
  readonly sbn: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** The bytes are written, or given up. */
  readonly release: () => void;
}

/** A block that was taken and is not on disk. */
export interface LostBlock {
  readonly sbn: number;
  /** Bytes. */
  readonly length: number;
}

export interface WriterParts {
  readonly path: (entry: SpoolEntry, state: SpoolState) => string;
  readonly onWhole: (entry: SpoolEntry) => void;
  /** The first `bytes` bytes are in the file of an object that is not whole, and stay as they are; with 0 they may not. */
  readonly onGrown: (entry: SpoolEntry, bytes: number) => void;
  readonly onLost: (entry: SpoolEntry, lost: readonly LostBlock[]) => void;
  readonly onAlarm: (code: LinkAlarm, detail: string) => void;
}

/** Files kept open between rounds. */
const OPEN_FILES = 64;
const FILE_MODE = 0o660;
/** How often blocks of objects that are not whole yet are synced. */
const SYNC_MS = 250;
/** A file is told of when it has grown by so much, bytes. */
const GROWN_BYTES = 4 * 1024 * 1024;

/** What of a file can be read by now, and what was said of it. */
interface Growth {
  readonly prefix: WrittenPrefix;
  told: number;
}

const isFull = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
};

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Writes blocks in rounds: all that waits is written, in pieces as long as memory and file allow. An object that is all
 * there is synced and renamed at once; what is not is synced, and its block map after it, a few times a second. While a
 * round is under way the next one gathers, so writes are few and long at any rate.
 */
export class SpoolWriter {
  readonly #parts: WriterParts;
  readonly #files = new Map<SpoolEntry, SpoolFile>();
  #waiting: BlockWrite[] = [];
  /** Written, and not synced yet. */
  readonly #unsynced = new Map<SpoolEntry, LostBlock[]>();
  /** Of objects that are not whole; undefined for one that lost what it had: nothing is said of it any more. */
  readonly #growing = new Map<SpoolEntry, Growth | undefined>();
  /** Runs between rounds, so that a file is never removed while it is written. */
  #chores: (() => Promise<void>)[] = [];
  #queued = 0;
  #unsyncedBytes = 0;
  #round: Promise<void> | undefined;
  #syncedAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closing = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** Bytes that wait to be written. */
  get queuedBytes(): number {
    return this.#queued;
  }

  /** Bytes that a loss of power would cost: not written, or not synced. */
  get volatileBytes(): number {
    return this.#queued + this.#unsyncedBytes;
  }

  add(write: BlockWrite): void {
    this.#waiting.push(write);
    this.#queued += write.bytes.length;
    this.#go();
  }

  /** Removes an object's files, leaving a mark or nothing. */
  remove(entry: SpoolEntry, leave: 'done' | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#chores.push(async () => {
        try {
          await this.#erase(entry, leave);
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      this.#go();
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#go();
    while (this.#round !== undefined) await this.#round;
    for (const entry of [...this.#files.keys()]) await this.#shut(entry);
  }

  #go(): void {
    if (this.#round !== undefined) return;
    clearTimeout(this.#timer);
    this.#round = this.#rounds().finally(() => {
      this.#round = undefined;
      if (this.#waiting.length > 0 || this.#chores.length > 0) this.#go();
      else if (this.#unsynced.size > 0) this.#timer = setTimeout(() => this.#go(), SYNC_MS);
    });
  }

  async #rounds(): Promise<void> {
    do {
      // Chores first: a file must be gone before blocks that came after its removal are written.
      for (const chore of this.#chores.splice(0)) await chore();
      const byEntry = Map.groupBy(this.#waiting.splice(0), (write) => write.entry);
      for (const [entry, writes] of byEntry) await this.#write(entry, writes);
      const due = this.#closing || performance.now() - this.#syncedAt >= SYNC_MS;
      for (const entry of [...this.#unsynced.keys()]) if (due || this.#isWhole(entry)) await this.#sync(entry);
      if (due) this.#syncedAt = performance.now();
    } while (this.#waiting.length > 0 || this.#chores.length > 0);
  }

  /** All pieces of one object at once: while datagrams come, each call is answered a turn of the event loop later. */
  async #write(entry: SpoolEntry, writes: readonly BlockWrite[]): Promise<void> {
    const pieces = merged(writes);
    const lost: LostBlock[] = [];
    let fault: unknown;
    const failed = (piece: Piece, error: unknown): void => {
      lost.push(...piece.blocks);
      fault ??= error;
    };
    try {
      if (entry.state !== 'part') return;
      const file = await this.#file(entry);
      const write = async (piece: Piece): Promise<void> => {
        try {
          await file.write(piece.bytes, piece.offset);
          this.#written(entry, piece);
        } catch (error) {
          failed(piece, error);
        }
        this.#release(piece);
      };
      await Promise.all(pieces.splice(0).map(write));
      this.#tell(entry);
    } catch (error) {
      for (const piece of pieces) failed(piece, error);
    } finally {
      for (const piece of pieces) this.#release(piece);
      if (lost.length > 0) this.#lose(entry, lost, fault);
    }
  }

  #release({ blocks, releases }: Piece): void {
    for (const { length } of blocks) this.#queued -= length;
    for (const release of releases) release();
  }

  #written(entry: SpoolEntry, { bytes, offset, blocks }: Piece): void {
    if (!this.#growing.has(entry)) this.#growing.set(entry, { prefix: new WrittenPrefix(), told: 0 });
    this.#growing.get(entry)?.prefix.add(offset, bytes.length);
    const unsynced = this.#unsynced.get(entry) ?? [];
    unsynced.push(...blocks);
    this.#unsynced.set(entry, unsynced);
    for (const { length } of blocks) this.#unsyncedBytes += length;
  }

  /** Who reads behind the writes hears how far it may. */
  #tell(entry: SpoolEntry): void {
    const growth = this.#growing.get(entry);
    if (growth === undefined || growth.prefix.end - growth.told < GROWN_BYTES) return;
    growth.told = growth.prefix.end;
    this.#parts.onGrown(entry, growth.told);
  }

  /** Makes what was written of an object durable, then its bits or its name. */
  async #sync(entry: SpoolEntry): Promise<void> {
    const blocks = this.#unsynced.get(entry) ?? [];
    this.#unsynced.delete(entry);
    try {
      if (entry.state !== 'part') return;
      const file = await this.#file(entry);
      await file.sync();
      if (this.#isWhole(entry)) await this.#finish(entry);
      else await this.#writeMap(entry);
    } catch (error) {
      // What the kernel could not write it does not try again: the file is opened anew.
      await this.#shut(entry).catch(() => undefined);
      this.#lose(entry, blocks, error);
    } finally {
      for (const { length } of blocks) this.#unsyncedBytes -= length;
    }
  }

  /** Blocks that are not on disk, or not surely, are wanted again. */
  #lose(entry: SpoolEntry, blocks: readonly LostBlock[], error: unknown): void {
    if ((this.#growing.get(entry)?.told ?? 0) > 0) this.#parts.onGrown(entry, 0);
    this.#growing.set(entry, undefined);
    this.#parts.onLost(entry, blocks);
    this.#alarm(error);
  }

  #alarm(error: unknown): void {
    this.#parts.onAlarm(isFull(error) ? 'spool-full' : 'spool-io', (error as Error).message);
  }

  #isWhole(entry: SpoolEntry): boolean {
    return entry.storedBlocks === entry.blocks && !this.#waits(entry);
  }

  #waits(entry: SpoolEntry): boolean {
    return this.#waiting.some((write) => write.entry === entry);
  }

  async #finish(entry: SpoolEntry): Promise<void> {
    await this.#shut(entry);
    this.#growing.delete(entry);
    const whole = this.#parts.path(entry, 'whole');
    await rename(this.#parts.path(entry, 'part'), whole);
    try {
      await syncDirectory(dirname(whole));
      await rm(this.#parts.path(entry, 'map'), { force: true });
    } catch (error) {
      // Whole all the same: were it a part still, its next block would go into a new file, and that file, with holes, over this one.
      // A loss of power may take the name back, which costs another pass.
      this.#alarm(error);
    }
    this.#parts.onWhole(entry);
  }

  /**
   * The bits of blocks that are on disk. Blocks that came while this round was under way wait for the next one: their
   * bits are left out, or a crash now would leave bits without bytes.
   */
  async #writeMap(entry: SpoolEntry): Promise<void> {
    const map = entry.stored.slice();
    for (const { entry: other, sbn } of this.#waiting) {
      if (other === entry) map[sbn >>> 3] = (map[sbn >>> 3] ?? 0) & ~(1 << (sbn & 7));
    }
    const path = this.#parts.path(entry, 'map');
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT, FILE_MODE);
    try {
      await writeAll(file, map, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  async #file(entry: SpoolEntry): Promise<SpoolFile> {
    const known = this.#files.get(entry);
    if (known !== undefined) return known;
    if (this.#files.size >= OPEN_FILES) {
      for (const oldest of this.#files.keys()) {
        await this.#shut(oldest);
        break;
      }
    }
    const file = await SpoolFile.open(this.#parts.path(entry, 'part'), FILE_MODE);
    this.#files.set(entry, file);
    return file;
  }

  async #shut(entry: SpoolEntry): Promise<void> {
    const file = this.#files.get(entry);
    this.#files.delete(entry);
    await file?.close();
  }

  async #erase(entry: SpoolEntry, leave: 'done' | undefined): Promise<void> {
    await this.#shut(entry);
    this.#growing.delete(entry);
    const marked = leave === undefined || (await this.#mark(entry, leave));
    for (const state of ['part', 'map', 'whole'] as const) await rm(this.#parts.path(entry, state), { force: true });
    // Without a mark the object is gathered once more, which costs time alone.
    if (!marked) await this.#mark(entry, leave);
  }

  /** False where the disk has no room for one more file. */
  async #mark(entry: SpoolEntry, state: 'done'): Promise<boolean> {
    try {
      await (await open(this.#parts.path(entry, state), 'w', FILE_MODE)).close();
      return true;
    } catch (error) {
      if (isFull(error)) return false;
      throw error;
    }
  }
}

interface Piece {
  bytes: Uint8Array;
  readonly offset: number;
  readonly blocks: LostBlock[];
  readonly releases: (() => void)[];
}

/** Blocks that follow each other in memory and in the file, as one piece. */
function merged(writes: readonly BlockWrite[]): Piece[] {
  const pieces: Piece[] = [];
  for (const { sbn, bytes, offset, release } of [...writes].sort((a, b) => a.offset - b.offset)) {
    const block = { sbn, length: bytes.length };
    const last = pieces.at(-1);
    if (
      last?.bytes.buffer === bytes.buffer &&
      last.bytes.byteOffset + last.bytes.length === bytes.byteOffset &&
      last.offset + last.bytes.length === offset
    ) {
      last.bytes = new Uint8Array(bytes.buffer, last.bytes.byteOffset, last.bytes.length + bytes.length);
      last.blocks.push(block);
      last.releases.push(release);
    } else pieces.push({ bytes, offset, blocks: [block], releases: [release] });
  }
  return pieces;
}
