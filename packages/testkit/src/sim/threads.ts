import { Bench, type JudgeOptions, SpoolHasher, type ToJudge, type ToSpoolThread } from '@sluice/receiver';
import {
  type FromTransmit,
  openMachine,
  sendSettings,
  type ToTransmit,
  TransmitLoop,
  type TransmitOptions,
} from '@sluice/sender';
import { type Batch, type BatchPlaces, type PackBatch, storeBatch } from '@sluice/store';
import type { DatagramBatch } from '@sluice/ports';
import { sendArenaBytes } from '@sluice/transfer';
import { Arena } from '@sluice/wasm';
import type { Fibre } from './fibre.ts';
import { kernel, self, type Timer } from './kernel.ts';
import { registerThread } from './node/worker-threads.ts';

let lit: Fibre | undefined;
let batches = false;

/** The fibre that the transmit thread of a world sends into, and whether the kernel makes its datagrams. */
export function light(fibre: Fibre | undefined, withKernel = false): void {
  lit = fibre;
  batches = withKernel;
}

/** The transmit thread: the product's loop, on virtual time. Gives what takes its messages. */
function startTransmit(options: TransmitOptions, tell: (message: FromTransmit) => void): (message: ToTransmit) => void {
  const process = self();
  const mail: ToTransmit[] = [];
  let wake = (): void => undefined;
  const after = (ns: number, run: () => void): Timer => kernel().after(ns / (1 + process.machine.drift), process, run);
  const arena = batches ? { arena: Arena.create(sendArenaBytes(sendSettings(options))) } : {};
  const sink = {
    send: (batch: DatagramBatch) => lit?.offer(batch),
    close: () => undefined,
  };
  const loop = new TransmitLoop({
    ...{ machine: openMachine(options, tell, arena), sink, tell },
    posted: () => mail.splice(0),
    idle: (ms) =>
      new Promise((resolve) => {
        const timer = after(ms * 1e6, resolve);
        wake = () => {
          timer.cancelled = true;
          resolve();
        };
      }),
    // A nanosecond more than is left: never before it, however the numbers are rounded.
    until: (at) => new Promise((resolve) => void after(Math.max(0, at - performance.now() * 1e6) + 1, resolve)),
  });
  void loop.run();
  return (message) => {
    mail.push(message);
    wake();
  };
}

/** What the threads of the daemons run, in a world. */
export function registerThreads(): void {
  registerThread('spool', (_data, tell) => {
    const hasher = new SpoolHasher(tell);
    return (message) => hasher.take(message as ToSpoolThread);
  });
  registerThread('judge', (data, tell) => {
    const bench = new Bench(data as JudgeOptions, tell);
    return (message) => bench.take(message as ToJudge);
  });
  registerThread(
    'store',
    (data, tell) => (message) => tell(storeBatch(message as Batch | PackBatch, data as BatchPlaces)),
  );
  registerThread('transmit', (data, tell) => {
    const take = startTransmit(data as TransmitOptions, tell);
    return (message) => take(message as ToTransmit);
  });
}
