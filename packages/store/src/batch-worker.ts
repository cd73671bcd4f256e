import { parentPort, workerData } from 'node:worker_threads';
import type { Batch, BatchPlaces, PackBatch } from './batch-messages.ts';
import { storeBatch } from './batch-storing.ts';

// The thread that stores batches of small blobs, and packs of them.

/**
 * Its garbage is collected as that of other threads (docs/adr/0011). They count from when the daemon is up, and this one begins with the
 * first batch: it goes by the age of the process, so it is some seconds before them, unless the daemon was long in starting. What does it
 * there is of a higher rank.
 */
const COLLECT_MS = 120_000;
const collect = (): void => {
  void globalThis.gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
};
const untilOthers = COLLECT_MS - ((process.uptime() * 1000) % COLLECT_MS);
setTimeout(() => {
  collect();
  setInterval(collect, COLLECT_MS).unref();
}, untilOthers).unref();

const port = parentPort;
if (port === null) throw new Error('batches are written in a worker thread');
port.on('message', (batch: Batch | PackBatch) => {
  port.postMessage(storeBatch(batch, workerData as BatchPlaces));
});
