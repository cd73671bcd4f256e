// Sends or receives numbered datagrams over the link's own sockets, for tests within a namespace.
//   node test/rig/datagrams.ts send HOST PORT COUNT SIZE IO     prints {"refusals","stalls","note"}
//   node test/rig/datagrams.ts receive PORT IO                  prints "ready"; at SIGTERM {"received","distinct","drops"}
import { type LinkIo, openSink, openSource } from '../../packages/udp/src/index.ts';

const BATCH = 100;
/** Above this many datagrams a second the receiver of a small machine may not keep up. */
const RATE = 20_000;

async function send(host: string, port: number, count: number, size: number, io: LinkIo): Promise<void> {
  const notes: string[] = [];
  const sink = await openSink({ host, port, io, onNote: (text) => notes.push(text) });
  const begin = performance.now();
  for (let first = 0; first < count; first += BATCH) {
    const run = Math.min(BATCH, count - first);
    const bytes = new Uint8Array(run * size);
    for (let i = 0; i < run; i += 1) new DataView(bytes.buffer).setUint32(i * size, first + i);
    const wait = (first / RATE) * 1000 - (performance.now() - begin);
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    await sink.send({ bytes, size, count: run });
  }
  console.log(JSON.stringify({ refusals: sink.refusals, stalls: sink.stalls, notes }));
  sink.close();
}

async function receive(port: number, io: LinkIo): Promise<void> {
  const source = await openSource({ host: '0.0.0.0', port, receiveBuffer: 2 ** 25 }, io);
  const seen = new Set<number>();
  let received = 0;
  source.start(({ bytes, offsets, count }) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < count; i += 1) seen.add(view.getUint32(offsets[i] ?? 0));
    received += count;
  });
  process.once('SIGTERM', () => {
    console.log(JSON.stringify({ received, distinct: seen.size, drops: source.kernelDrops() }));
    void source.close();
  });
  console.log('ready');
}

const [, , what, ...words] = process.argv;
if (what === 'send') {
  const [host = '', port, count, size, io] = words;
  await send(host, Number(port), Number(count), Number(size), io as LinkIo);
} else if (what === 'receive') {
  const [port, io] = words;
  await receive(Number(port), io as LinkIo);
} else throw new Error('the first word is "send" or "receive"');
