import { Worker } from 'node:worker_threads';
import type { FromTransmit, ToTransmit, TransmitOptions } from './messages.ts';

/** The main thread's end of the transmit worker. */
export class TransmitWorker {
  readonly #worker: Worker;
  readonly #wake: Int32Array;
  readonly ended: Promise<number>;

  /** `onMessage` hears all the worker says; a worker that fails ends the process through `ended`. */
  constructor(options: Omit<TransmitOptions, 'wake'>, onMessage: (message: FromTransmit) => void) {
    this.#wake = new Int32Array(new SharedArrayBuffer(4));
    const workerData: TransmitOptions = { ...options, wake: this.#wake };
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData, name: 'transmit' });
    this.#worker.on('message', onMessage);
    this.ended = new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('exit', resolve);
    });
  }

  post(message: ToTransmit): void {
    this.#worker.postMessage(message);
    Atomics.add(this.#wake, 0, 1);
    Atomics.notify(this.#wake, 0);
  }

  /** Lets the batch on its way leave, then ends the thread. */
  async stop(): Promise<void> {
    this.post({ type: 'stop' });
    await this.ended;
  }
}
