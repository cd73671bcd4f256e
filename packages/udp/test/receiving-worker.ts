// Receives in a loop that blocks, as a thread of its own does.
import { parentPort, workerData } from 'node:worker_threads';
import { openSource } from '../src/index.ts';
import { Collector } from './ends.ts';

const { fd, count } = workerData as { readonly fd: number; readonly count: number };
const source = await openSource({ fd }, 'native');
const collector = new Collector();
parentPort?.postMessage('ready');
while (collector.lengths.length < count) {
  const batch = source.receiveOnce?.(1000);
  if (batch !== undefined) collector.take(batch);
}
parentPort?.postMessage({
  count: collector.lengths.length,
  inOrder: collector.numbers.every((number, i) => number === i),
  drops: source.kernelDrops(),
});
await source.close();
