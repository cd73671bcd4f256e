import { parentPort, workerData } from 'node:worker_threads';
import { collectGarbage, Pulse } from '@sluice/base';
import { SpoolHasher } from './hasher.ts';
import type { ToSpoolThread } from './messages.ts';

// The thread that hashes what lies in the spool.

const port = parentPort;
if (port === null) throw new Error('the spool is hashed in a worker thread');
const pulse = new Pulse(workerData as SharedArrayBuffer);
const hasher = new SpoolHasher(
  (message) => {
    port.postMessage(message);
  },
  () => {
    pulse.beat();
  },
);
port.on('message', (message: ToSpoolThread) => {
  hasher.take(message);
});
collectGarbage();
