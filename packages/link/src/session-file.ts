import { mkdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationalError } from '@sluice/ports';
import type { SeenSession } from '@sluice/transfer';
import { writeDurably } from './durable-file.ts';

const NAME = 'highest-live-tsi';

/**
 * The highest live TSI accepted, durable (PROTOCOL.md S-3). Written when a session begins, which is rare enough to wait
 * for the disk.
 */
export class SessionFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #seenPath: string;
  #seen: SeenSession | undefined;
  #writing = false;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#path = join(directory, NAME);
    this.#seenPath = join(directory, 'highest-live-sn');
  }

  /**
   * 0 when there is none yet. @throws OperationalError `session-file` when the file is there and says nothing sensible: then
   * an operator must look
   */
  read(): number {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8').trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
      throw error;
    }
    const tsi = Number(text);
    if (!/^\d{1,10}$/.test(text) || tsi >= 2 ** 30) {
      throw new OperationalError(
        'session-file',
        `${this.#path} does not hold a session number; remove it to accept the sender's next session as the first`,
        { retryable: false },
      );
    }
    return tsi;
  }

  /** How far the live session was followed, some second before the last run ended; undefined when that is not known. */
  readSeen(): SeenSession | undefined {
    let text: string;
    try {
      text = readFileSync(this.#seenPath, 'utf8');
    } catch {
      return undefined;
    }
    const [, tsi, sn] = /^(\d{1,10}) (\d{1,13})\n$/.exec(text) ?? [];
    return tsi === undefined ? undefined : { tsi: Number(tsi), sn: Number(sn) };
  }

  /** Not synced, and never waited for: what a loss of power takes of it costs a second of the window. */
  writeSeen(seen: SeenSession): void {
    if (this.#writing || (seen.tsi === this.#seen?.tsi && seen.sn === this.#seen.sn)) return;
    this.#writing = true;
    this.#seen = seen;
    const temporary = `${this.#seenPath}.new`;
    writeFile(temporary, `${String(seen.tsi)} ${String(seen.sn)}\n`, { mode: 0o600 })
      .then(() => rename(temporary, this.#seenPath))
      .catch(() => undefined)
      .finally(() => {
        this.#writing = false;
      });
  }

  /** Never goes back: a lower session than the one on disk is left out. */
  write(tsi: number): void {
    if (tsi <= this.read()) return;
    writeDurably(this.#directory, NAME, `${String(tsi)}\n`);
  }
}
