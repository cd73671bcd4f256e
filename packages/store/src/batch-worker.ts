import { parentPort, workerData } from 'node:worker_threads';
import type { Batch, BatchPlaces, PackBatch } from './batch-messages.ts';
import { storeBatch } from './batch-storing.ts';

// The thread that stores batches of small blobs, and packs of them.

const port = parentPort;
if (port === null) throw new Error('batches are written in a worker thread');
port.on('message', (batch: Batch | PackBatch) => {
  port.postMessage(storeBatch(batch, workerData as BatchPlaces));
});
