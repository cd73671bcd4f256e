import { watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationalError } from '@sluice/ports';
import { ioError } from './beneath.ts';
import type { Intake } from './intake.ts';

export interface InboxOptions {
  /** The directory into which operators rename their bundles. */
  readonly inbox: string;
  readonly intake: Intake;
  /** How often the directory is looked at, in milliseconds, besides the hints of the kernel. */
  readonly pollMilliseconds: number;
  /** The inbox itself cannot be read or watched; it is tried again. */
  readonly onFailure: (error: OperationalError) => void;
}

/**
 * The inbox of one channel. An entry whose name does not start with a dot counts as there: put it under another name first, then rename it. Entries are
 * taken in the order of their names.
 */
export class Inbox {
  readonly #options: InboxOptions;
  #woken = false;
  #wake: () => void = () => undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** Takes and settles everything that is there now. */
  async poll(): Promise<void> {
    const { inbox, intake, onFailure } = this.#options;
    await intake.retry();
    let names: string[];
    try {
      names = await readdir(inbox);
    } catch (error) {
      onFailure(ioError(error, `Reading the inbox ${inbox}`));
      return;
    }
    for (const name of names.sort()) if (!name.startsWith('.')) await intake.take(join(inbox, name), name);
  }

  /** Polls until `signal` aborts: at once, whenever the kernel says that the directory changed, and every `pollMilliseconds`. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    this.#watch(signal);
    while (!signal.aborted) {
      this.#woken = false;
      await this.poll();
      await this.#pause(signal);
    }
  }

  /** Hints only: without them the poll goes on. */
  #watch(signal: AbortSignal): void {
    const { inbox, onFailure } = this.#options;
    const failed = (error: unknown): void => onFailure(ioError(error, `Watching the inbox ${inbox}`));
    try {
      const watcher = watch(inbox, { signal }, () => {
        this.#woken = true;
        this.#wake();
      });
      watcher.on('error', failed);
    } catch (error) {
      failed(error);
    }
  }

  #pause(signal: AbortSignal): Promise<void> {
    if (this.#woken || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#options.pollMilliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
