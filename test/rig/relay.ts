// A relay between two UDP ports of the loopback interface that loses, doubles, reorders and damages datagrams by a seed.
//   node test/rig/relay.ts --listen PORT --to PORT --loss 0.03 --duplicate 0.01 --reorder 0.02 --distance 100 --seed 7
// Prints one JSON line of counts when it is told to stop.
import { createSocket } from 'node:dgram';
import { parseArgs } from 'node:util';
import { Random } from '../../packages/testkit/src/random.ts';

const { values } = parseArgs({
  options: {
    listen: { type: 'string' },
    to: { type: 'string' },
    loss: { type: 'string', default: '0' },
    duplicate: { type: 'string', default: '0' },
    reorder: { type: 'string', default: '0' },
    distance: { type: 'string', default: '100' },
    corrupt: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
  },
});
const port = (text: string | undefined, option: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new Error(`--${option} must be a port`);
  return value;
};
const [listen, to] = [port(values.listen, 'listen'), port(values.to, 'to')];
const [loss, duplicate, reorder, corrupt] = [values.loss, values.duplicate, values.reorder, values.corrupt].map(Number);
const distance = Number(values.distance);
const random = new Random(Number(values.seed));
const counts = { received: 0, lost: 0, duplicated: 0, reordered: 0, corrupted: 0, forwarded: 0 };
const BUFFER_BYTES = 32 * 2 ** 20;
/** What is held back goes out at the latest when the link has been quiet for this long. */
const QUIET_MS = 50;

const input = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
const output = createSocket({ type: 'udp4', sendBufferSize: BUFFER_BYTES });
const held: { readonly datagram: Uint8Array; readonly after: number }[] = [];
let quiet: NodeJS.Timeout | undefined;

function forward(datagram: Uint8Array): void {
  counts.forwarded += 1;
  output.send(datagram, to, '127.0.0.1');
}

function release(received: number): void {
  for (let i = held.length - 1; i >= 0; i -= 1) {
    const next = held[i];
    if (next === undefined || next.after > received) continue;
    held.splice(i, 1);
    forward(next.datagram);
  }
}

function pass(datagram: Uint8Array): void {
  if (random.chance(corrupt ?? 0)) {
    counts.corrupted += 1;
    const at = random.below(datagram.length);
    datagram[at] = (datagram[at] ?? 0) ^ (1 << random.below(8));
  }
  const copies = random.chance(duplicate ?? 0) ? 2 : 1;
  counts.duplicated += copies - 1;
  for (let i = 0; i < copies; i += 1) {
    if (random.chance(reorder ?? 0)) {
      counts.reordered += 1;
      held.push({ datagram, after: counts.received + 1 + random.below(distance) });
    } else forward(datagram);
  }
}

input.on('message', (datagram) => {
  counts.received += 1;
  if (random.chance(loss ?? 0)) counts.lost += 1;
  else pass(datagram);
  release(counts.received);
  quiet ??= setTimeout(() => {
    quiet = undefined;
    release(Infinity);
  }, QUIET_MS);
});
input.bind(listen, '127.0.0.1', () => {
  console.log('relay ready');
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    release(Infinity);
    console.log(JSON.stringify(counts));
    process.exit(0);
  });
}
