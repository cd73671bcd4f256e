import { mkdirSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { collectGarbage } from '@sluice/base';
import { loadSigner } from '@sluice/trust';
import { ChunkKeeper, NOTHING_KEPT } from './keeper.ts';
import type { FromKeeper, KeeperThreadOptions } from './thread.ts';

// The thread that keeps the chunk log: compresses, hashes, signs, removes.

const { directory, keyPem, totalBytes, everyMs } = workerData as KeeperThreadOptions;
const port = parentPort;
if (port === null) throw new Error('the chunk log is kept in a worker thread');
const tell = (message: FromKeeper): void => {
  port.postMessage(message);
};
const signer = loadSigner(keyPem);

/** A directory that is not there, or cannot be read, stops nothing but the keeping: it is tried again. */
function open(): ChunkKeeper | undefined {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o770 });
    return new ChunkKeeper({ directory, signer, totalBytes });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    tell({ type: 'state', state: { ...NOTHING_KEPT, failure: error.message } });
    return undefined;
  }
}

collectGarbage();
for (let keeper: ChunkKeeper | undefined; ;) {
  keeper ??= open();
  const state = await keeper?.round((record, head) => {
    tell({ type: 'closed', record, head });
  });
  if (state !== undefined) tell({ type: 'state', state });
  await new Promise((resolve) => setTimeout(resolve, everyMs));
}
