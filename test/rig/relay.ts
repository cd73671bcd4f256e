// A relay from a UDP port of the loopback interface to another, or to that of a host, that loses, doubles, reorders and damages datagrams by a seed.
//   node test/rig/relay.ts --listen PORT --to PORT [--loss 0.03] [--duplicate 0.01] [--reorder 0.02 --distance 100]
//        [--corrupt 0.001] [--burst 0.00001 --burst-length 600] [--seed 7] [--host 127.0.0.1]
//        [--dark 20 --dark-every 1000 --dark-most 330]   for so many milliseconds of so many nothing passes, and no more is lost
//                                                        than so many datagrams: a busy relay must not make an outage longer
// Prints "relay ready", and one JSON line of counts when it is told to stop.
import { createSocket } from 'node:dgram';
import { parseArgs } from 'node:util';
import { Faults } from './faults.ts';

const BUFFER_BYTES = 32 * 2 ** 20;
/** What is held back goes out at the latest when the link has been quiet for this long. */
const QUIET_MS = 50;
const QUIET_TURNS = 2;

const { values } = parseArgs({
  options: {
    listen: { type: 'string' },
    to: { type: 'string' },
    loss: { type: 'string', default: '0' },
    duplicate: { type: 'string', default: '0' },
    reorder: { type: 'string', default: '0' },
    distance: { type: 'string', default: '100' },
    corrupt: { type: 'string', default: '0' },
    burst: { type: 'string', default: '0' },
    'burst-length': { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    host: { type: 'string', default: '127.0.0.1' },
    dark: { type: 'string', default: '0' },
    'dark-every': { type: 'string', default: '1000' },
    'dark-most': { type: 'string', default: '1000000000' },
  },
});

/** The option as a number from 0 to `most`, whole where that is more than 1. */
function number(option: keyof typeof values, most: number, least = 0): number {
  const value = Number(values[option] ?? Number.NaN);
  if (!(value >= least && value <= most) || (most > 1 && !Number.isInteger(value))) {
    throw new Error(`--${option} must be a number from ${least} to ${most}`);
  }
  return value;
}

const to = number('to', 65_535, 1);
const input = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
const output = createSocket({ type: 'udp4', sendBufferSize: BUFFER_BYTES });
let refused = 0;
output.on('error', () => {
  refused += 1;
});
const faults = new Faults(
  {
    seed: number('seed', 2 ** 32 - 1),
    loss: number('loss', 1),
    duplicate: number('duplicate', 1),
    reorder: number('reorder', 1),
    distance: number('distance', 1_000_000),
    corrupt: number('corrupt', 1),
    burst: number('burst', 1),
    burstLength: number('burst-length', 1_000_000),
  },
  (datagram) => {
    output.send(datagram);
  },
);

const darkMs = number('dark', 60_000);
const darkEveryMs = number('dark-every', 600_000, 1);
const darkMost = number('dark-most', 1_000_000_000, 1);
let dark = 0;
let outage = { number: 0, lost: 0 };

/** True for what comes in an outage. */
function isDark(now: number): boolean {
  if (now % darkEveryMs >= darkMs) return false;
  const at = Math.floor(now / darkEveryMs);
  if (outage.number !== at) outage = { number: at, lost: 0 };
  outage.lost += 1;
  return outage.lost <= darkMost;
}

let seen = 0;
let quietTurns = 0;
input.on('message', (datagram) => {
  if (isDark(performance.now())) dark += 1;
  else faults.take(datagram);
});
setInterval(() => {
  const { received } = faults.counts;
  quietTurns = received === seen ? quietTurns + 1 : 0;
  seen = received;
  if (quietTurns === QUIET_TURNS) faults.flush();
}, QUIET_MS / QUIET_TURNS);

output.connect(to, values.host, () => {
  input.bind(number('listen', 65_535, 1), '127.0.0.1', () => {
    console.log('relay ready');
  });
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    faults.flush();
    // The socket writes at once where it can; this comes after what could not.
    setImmediate(() => {
      console.log(JSON.stringify({ ...faults.counts, dark, refused }));
      process.exit(0);
    });
  });
}
