// Opens a sink, then waits for nothing but a word in shared memory.
import { parentPort, workerData } from 'node:worker_threads';
import { type LinkIo, openSink } from '../src/index.ts';
import { numbered } from './ends.ts';

const { io, port, wake } = workerData as { readonly io: LinkIo; readonly port: number; readonly wake: Int32Array };
const sink = await openSink({ host: '127.0.0.1', port, io });
parentPort?.postMessage('open');
setImmediate(() => void sink.send(numbered(0, 1, 100)));
await Atomics.waitAsync(wake as Int32Array<SharedArrayBuffer>, 0, 0).value;
parentPort?.postMessage('woken');
sink.close();
