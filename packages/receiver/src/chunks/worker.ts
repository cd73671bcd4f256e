import { parentPort, workerData } from 'node:worker_threads';
import { loadSigner } from '@sluice/trust';
import { ChunkKeeper } from './keeper.ts';
import type { FromKeeper, KeeperThreadOptions } from './thread.ts';

// The thread that keeps the chunk log: compresses, hashes, signs, removes.

const { directory, keyPem, totalBytes, everyMs } = workerData as KeeperThreadOptions;
const port = parentPort;
if (port === null) throw new Error('the chunk log is kept in a worker thread');
const tell = (message: FromKeeper): void => {
  port.postMessage(message);
};
const keeper = new ChunkKeeper({ directory, signer: loadSigner(keyPem), totalBytes });
for (;;) {
  const state = await keeper.round((record, head) => {
    tell({ type: 'closed', record, head });
  });
  tell({ type: 'state', state });
  await new Promise((resolve) => setTimeout(resolve, everyMs));
}
