// A program for a network namespace of its own: sends one pass over its loopback interface, lets the kernel refuse
// datagrams for a while in the middle, and prints what came.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSn } from '@sluice/alc';
import type { Digest } from '@sluice/ports';
import type { FromTransmit } from '../src/transmit/messages.ts';
import { TransmitWorker } from '../src/transmit/transmitter.ts';

const [dir = '', io = ''] = process.argv.slice(2);
execFileSync('ip', ['link', 'set', 'lo', 'up']);
/** A rule at the output hook: what sends is told so (EPERM), as by an interface that is down. */
const refuse = (): void => {
  const chain = 'table ip held { chain out { type filter hook output priority 0; meta l4proto udp drop; }; }';
  execFileSync('nft', ['-f', '-'], { input: chain });
};
const accept = (): void => {
  execFileSync('nft', ['delete', 'table', 'ip', 'held']);
};

const bytes = Buffer.alloc(1_000_000, 7);
const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
mkdirSync(join(dir, 'blobs/sha256'), { recursive: true });
writeFileSync(join(dir, 'blobs/sha256', digest.slice('sha256:'.length)), bytes);

const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 }).bind(0, '127.0.0.1');
await once(socket, 'listening');
const numbers = new Set<number>();
let highest = 0;
let cut = false;
const END = Buffer.from('end');
const drained = Promise.withResolvers<undefined>();
socket.on('message', (datagram) => {
  if (datagram.equals(END)) drained.resolve(undefined);
  if (datagram.length === END.length) return;
  const sn = readSn(datagram, 0);
  numbers.add(sn);
  highest = Math.max(highest, sn);
  if (numbers.size < 200 || cut) return;
  cut = true;
  refuse();
});

const heard: FromTransmit[] = [];
const done = Promise.withResolvers<undefined>();
const worker = new TransmitWorker(
  {
    host: '127.0.0.1',
    port: socket.address().port,
    io: io as 'native' | 'portable',
    rate: 20_000_000,
    symbolBytes: 1408,
    profile: { name: 'robust', maxBlock: 200, repair: 20 },
    outageMs: 1,
    groupBytes: 2 ** 20,
    statementLeadMs: 1,
    keys: [{ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', key: Buffer.alloc(32, 1) }],
    tsi: 1,
    storeRoot: dir,
  },
  (message) => {
    heard.push(message);
    // Twice as long as it tells how it is: a status must come while nothing leaves.
    if (message.type === 'send-refused') setTimeout(accept, 2500);
    if (message.type === 'pass-done') done.resolve(undefined);
  },
);
const object = { digest, size: bytes.length, contentType: 'application/octet-stream' } as const;
worker.post({ type: 'pass', order: { bundle: 'b', asid: 0, pass: 0, statements: [], objects: [object] } });
await done.promise;
await worker.stop();
// What was sent before lies before it in the socket's buffer.
const last = createSocket('udp4');
last.send(END, socket.address().port, '127.0.0.1');
await drained.promise;
last.close();
socket.close();
const types = (wanted: FromTransmit['type']): readonly FromTransmit[] => heard.filter(({ type }) => type === wanted);
const refusals = heard.flatMap((message) => (message.type === 'status' ? [message.status.refusal] : []));
console.log(
  JSON.stringify({
    lost: highest - numbers.size,
    refused: types('send-refused'),
    toldWhileHeld: refusals.some((refusal) => refusal !== undefined),
    sent: highest,
  }),
);
