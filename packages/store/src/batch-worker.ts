import { parentPort, workerData } from 'node:worker_threads';
import type { Batch, BatchPlaces, PackBatch } from './batch-messages.ts';
import { storeBatch } from './batch-storing.ts';

// The thread that stores batches of small blobs, and packs of them.

/** Its garbage is collected as that of other threads (docs/adr/0011), after a batch: what does it there is of a higher rank. */
const COLLECT_MS = 120_000;
let collected = performance.now();

const port = parentPort;
if (port === null) throw new Error('batches are written in a worker thread');
port.on('message', (batch: Batch | PackBatch) => {
  port.postMessage(storeBatch(batch, workerData as BatchPlaces));
  if (performance.now() - collected < COLLECT_MS) return;
  collected = performance.now();
  void globalThis.gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
});
