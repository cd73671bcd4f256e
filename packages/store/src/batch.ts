import { Worker } from 'node:worker_threads';
import type { Digest, SpooledPack } from '@sluice/ports';
import type { Batch, BatchEnd, BatchPlaces, PackBatch } from './batch-messages.ts';

interface Waiting {
  readonly resolve: (end: BatchEnd) => void;
  readonly reject: (error: unknown) => void;
}

/** Hands batches of small blobs to a thread, which is started with the first one and does not keep the process alive. */
export class BatchWriter {
  readonly #places: BatchPlaces;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #last = 0;

  constructor(places: BatchPlaces) {
    this.#places = places;
  }

  /** Resolves once all is stored, or to what kept it from being. The bytes are copied before this returns. */
  store(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<BatchEnd> {
    this.#last += 1;
    const all = new Uint8Array(blobs.reduce((sum, { bytes }) => sum + bytes.length, 0));
    let at = 0;
    for (const { bytes } of blobs) {
      all.set(bytes, at);
      at += bytes.length;
    }
    const sizes = blobs.map(({ digest, bytes }) => ({ digest, size: bytes.length }));
    const batch: Batch = { id: this.#last, type: 'blobs', bytes: all.buffer, blobs: sizes };
    return this.#ask(batch, [all.buffer]);
  }

  /** The same for packs in files. */
  storePacks(packs: readonly SpooledPack[]): Promise<BatchEnd> {
    this.#last += 1;
    return this.#ask({ id: this.#last, type: 'packs', packs }, []);
  }

  #ask(batch: Batch | PackBatch, transfer: readonly ArrayBuffer[]): Promise<BatchEnd> {
    const worker = (this.#worker ??= this.#start());
    return new Promise((resolve, reject) => {
      this.#waiting.set(batch.id, { resolve, reject });
      worker.ref();
      worker.postMessage(batch, transfer);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./batch-worker.ts', import.meta.url), {
      workerData: this.#places,
      name: 'store',
    });
    worker.on('message', (end: BatchEnd) => {
      this.#waiting.get(end.id)?.resolve(end);
      this.#waiting.delete(end.id);
      if (this.#waiting.size === 0) worker.unref();
    });
    worker.once('error', (error) => {
      this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
    return worker;
  }
}
