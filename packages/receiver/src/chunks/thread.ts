import { Worker } from 'node:worker_threads';
import type { ClosedLog } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import type { KeeperState } from './keeper.ts';

export interface KeeperThreadOptions {
  readonly directory: string;
  /** Private key that signs the index. */
  readonly keyPem: string;
  readonly totalBytes: number;
  /** Time between rounds, milliseconds. */
  readonly everyMs: number;
}

export type FromKeeper =
  | { readonly type: 'closed'; readonly record: ClosedLog; readonly head: Digest | null }
  | { readonly type: 'state'; readonly state: KeeperState };

/** The main thread's end of the thread that keeps the chunk log. */
export class KeeperThread {
  readonly #worker: Worker;
  readonly ended: Promise<void>;
  /** Undefined before the first round. */
  state: KeeperState | undefined;

  constructor(options: KeeperThreadOptions, onClosed: (record: ClosedLog, head: Digest | null) => void) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { name: 'keeper', workerData: options });
    this.#worker.on('message', (message: FromKeeper) => {
      if (message.type === 'state') this.state = message.state;
      else onClosed(message.record, message.head);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('exit', () => {
        resolve();
      });
    });
  }

  /** Wherever it is: what it was about is done anew at the next start. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
