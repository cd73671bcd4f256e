import { parentPort, workerData } from 'node:worker_threads';
import { collectGarbage, Pulse } from '@sluice/base';
import { Bench } from './bench.ts';
import type { JudgeData, JudgeTrust, ToJudge } from './messages.ts';

// The thread that judges statements.

const port = parentPort;
if (port === null) throw new Error('statements are judged in a worker thread');
const { pulse: shared, ...options } = workerData as JudgeData;
const pulse = new Pulse(shared);
const bench = new Bench(options, (message) => {
  pulse.beat();
  // The envelope of a large release goes over; nobody looks at it here any more.
  const release =
    'judgement' in message && message.judgement.type === 'release' ? message.judgement.release : undefined;
  const pieces = release === undefined ? [] : [release.envelope, release.plain.digests, release.plain.sizes];
  port.postMessage(
    message,
    pieces.map(({ buffer }) => buffer as ArrayBuffer),
  );
});
port.on('message', (message: ToJudge | JudgeTrust) => {
  bench.take(message);
});
collectGarbage();
