import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { LinkAlarm } from '@sluice/ports';
import type { SpoolEntry } from './spool.ts';
import type { SpoolState } from './spool-names.ts';

export interface BlockWrite {
  readonly entry: SpoolEntry;
  readonly sbn: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface WriterParts {
  readonly path: (entry: SpoolEntry, state: SpoolState) => string;
  readonly onWhole: (entry: SpoolEntry) => void;
  readonly onLost: (entry: SpoolEntry, lost: readonly BlockWrite[]) => void;
  readonly onAlarm: (code: LinkAlarm, detail: string) => void;
}

/** Files kept open between rounds. */
const OPEN_FILES = 64;
const FILE_MODE = 0o660;

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
 * Writes blocks in rounds: all that waits is written, each file synced once, then the block maps, then whole files are
 * renamed. While a round is under way the next one gathers, so the syncs a second stay few at any rate.
 */
export class SpoolWriter {
  readonly #parts: WriterParts;
  readonly #files = new Map<SpoolEntry, FileHandle>();
  #waiting: BlockWrite[] = [];
  /** Runs between rounds, so that a file is never removed while it is written. */
  #chores: (() => Promise<void>)[] = [];
  #queued = 0;
  #round: Promise<void> | undefined;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  get queuedBytes(): number {
    return this.#queued;
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
    while (this.#round !== undefined) await this.#round;
    for (const entry of [...this.#files.keys()]) await this.#shut(entry);
  }

  #go(): void {
    if (this.#round !== undefined) return;
    this.#round = this.#rounds().finally(() => {
      this.#round = undefined;
      if (this.#waiting.length > 0 || this.#chores.length > 0) this.#go();
    });
  }

  async #rounds(): Promise<void> {
    while (this.#waiting.length > 0 || this.#chores.length > 0) {
      // Chores first: a file must be gone before blocks that came after its removal are written.
      for (const chore of this.#chores.splice(0)) await chore();
      const byEntry = Map.groupBy(this.#waiting.splice(0), (write) => write.entry);
      for (const [entry, writes] of byEntry) await this.#write(entry, writes);
    }
  }

  async #write(entry: SpoolEntry, writes: readonly BlockWrite[]): Promise<void> {
    try {
      if (entry.state !== 'part') return;
      const file = await this.#file(entry);
      for (const { bytes, offset } of writes) await writeAll(file, bytes, offset);
      await file.datasync();
      if (entry.storedBlocks === entry.blocks && !this.#waits(entry)) await this.#finish(entry);
      else await this.#writeMap(entry);
    } catch (error) {
      await this.#shut(entry).catch(() => undefined);
      this.#parts.onLost(entry, writes);
      this.#parts.onAlarm(isFull(error) ? 'spool-full' : 'spool-io', (error as Error).message);
    } finally {
      for (const { bytes } of writes) this.#queued -= bytes.length;
    }
  }

  #waits(entry: SpoolEntry): boolean {
    return this.#waiting.some((write) => write.entry === entry);
  }

  async #finish(entry: SpoolEntry): Promise<void> {
    await this.#shut(entry);
    const whole = this.#parts.path(entry, 'whole');
    await rename(this.#parts.path(entry, 'part'), whole);
    await syncDirectory(dirname(whole));
    await rm(this.#parts.path(entry, 'map'), { force: true });
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

  async #file(entry: SpoolEntry): Promise<FileHandle> {
    const known = this.#files.get(entry);
    if (known !== undefined) return known;
    if (this.#files.size >= OPEN_FILES) {
      for (const oldest of this.#files.keys()) {
        await this.#shut(oldest);
        break;
      }
    }
    const path = this.#parts.path(entry, 'part');
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
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

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
