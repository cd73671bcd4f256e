import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { HEADER_BYTES } from '@sluice/alc';
import { collectAtLeisure } from '@sluice/base';
import { queueRate, sendArenaBytes } from '@sluice/transfer';
import { openTagAccelerator } from '@sluice/trust';
import { openSink, setTimerSlack } from '@sluice/udp';
import { Arena } from '@sluice/wasm';
import { nowNs, openMachine, sendSettings, TransmitLoop } from './loop.ts';
import type { FromTransmit, ToTransmit, TransmitOptions } from './messages.ts';

// The thread that sends: here it waits.

/** Waits shorter than this block the thread, which is more exact; longer ones let the event loop run. */
const BLOCKING_WAIT_NS = 2e6;
/** Link time of a datagram from which on the thread does not sleep up to its departure, and for how long it does not. */
const SLOW_NS = 250_000;
const AWAKE_NS = 70_000;

const options = workerData as TransmitOptions;
const port = parentPort;
if (port === null) throw new Error('the transmit worker is a worker thread');
const tell = (message: FromTransmit): void => {
  port.postMessage(message);
};

const sleep = new Int32Array(new SharedArrayBuffer(4));
let seen = -1;

function* posted(): Generator<ToTransmit> {
  const now = Atomics.load(options.wake, 0);
  if (now === seen || port === null) return;
  seen = now;
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
    yield next.message as ToTransmit;
}

const collectGarbage = collectAtLeisure();

/** Lets the event loop run. */
async function idle(ms: number): Promise<void> {
  collectGarbage(ms);
  await Atomics.waitAsync(options.wake, 0, seen, ms).value;
}

async function until(at: number): Promise<void> {
  // Where a datagram takes long there is little to catch up with: the thread looks at the clock for the last stretch.
  const awake = machine.datagramNs > SLOW_NS ? AWAKE_NS : 0;
  for (let left = at - nowNs(); left > 0; left = at - nowNs()) {
    if (left > BLOCKING_WAIT_NS) await new Promise((resolve) => setTimeout(resolve, (left - BLOCKING_WAIT_NS) / 1e6));
    else if (left > awake) Atomics.wait(sleep, 0, 0, (left - awake) / 1e6);
  }
}

const sink = await openSink({
  host: options.host,
  port: options.port,
  io: options.io,
  maxPacingRate: options.rate === undefined ? undefined : queueRate(options.rate, HEADER_BYTES + options.symbolBytes),
  onNote: (text) => tell({ type: 'note', text }),
});
const tags = await openTagAccelerator(sink.io);
// A thread that sleeps for tens of microseconds is woken when it said, not when it suits the kernel.
if (sink.io === 'native') await setTimerSlack(1);
const arena = Arena.create(sendArenaBytes(sendSettings(options)));
const machine = openMachine(options, tell, { arena, clock: nowNs, accelerate: tags.accelerate });
tell({ type: 'ready', io: sink.io, why: `${sink.why}; ${tags.why}` });
await new TransmitLoop({ machine, sink, tell, posted, idle, until }).run();
