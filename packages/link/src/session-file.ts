import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperationalError } from '@sluice/ports';
import { writeDurably } from './durable-file.ts';

const NAME = 'highest-live-tsi';

/**
 * The highest live TSI accepted, durable (PROTOCOL.md S-3). Written when a session begins, which is rare enough to wait
 * for the disk.
 */
export class SessionFile {
  readonly #directory: string;
  readonly #path: string;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#path = join(directory, NAME);
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

  /** Never goes back: a lower session than the one on disk is left out. */
  write(tsi: number): void {
    if (tsi <= this.read()) return;
    writeDurably(this.#directory, NAME, `${String(tsi)}\n`);
  }
}
