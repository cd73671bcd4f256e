import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, Program } from '../world/processes.ts';
import { FirstFrame } from './capture.ts';
import type { Net } from './net.ts';
import { mbps } from './stats.ts';

const run = promisify(execFile);

/** A frame as long as this carries data of a peer, not its greeting. */
const DATA_FRAME = 1000;

/** The rate that the receiver saw, out of the client's JSON report; Mb/s. */
export function parseIperf(report: string): number {
  const { end, error } = JSON.parse(report) as {
    readonly error?: string;
    readonly end?: { readonly sum_received?: { readonly bits_per_second?: number } };
  };
  const rate = end?.sum_received?.bits_per_second;
  if (error !== undefined || rate === undefined || rate <= 0) throw new Error(`iperf3: ${error ?? 'no rate received'}`);
  return rate / 1e6;
}

/** iperf3's raw UDP rate: nothing but datagrams, as many as go, what arrived counted. */
export async function iperf3(net: Net, log: string, seconds: number, payload: number): Promise<number> {
  const port = String(await freePort());
  const server = new Program('iperf3', net.on('isolated', ['iperf3', '-s', '-1', '-p', port, '--forceflush']), log);
  try {
    await server.line(/Server listening/);
    const words = ['-u', '-l', String(payload), '-b', '0', '-t', String(seconds), '-J'];
    const [file = '', ...args] = net.on('sender', ['iperf3', '-c', net.host, '-p', port, ...words]);
    return parseIperf((await run(file, args, { maxBuffer: 2 ** 26 })).stdout);
  } finally {
    await server.stop();
  }
}

/** A peer's transfer of one file: Mb/s of its bytes, undefined when it lost any. */
interface FileTransfer {
  readonly net: Net;
  readonly port: number;
  readonly file: string;
  readonly out: string;
  readonly log: string;
  readonly receiver: readonly string[];
  readonly sender: readonly string[];
  /** Their standard input and output are the files. */
  readonly piped: boolean;
  readonly deadlineMs: number;
}

/** From the first data frame on the interface to the receiver's end, which must have written every byte. */
async function transfer(options: FileTransfer): Promise<number | undefined> {
  const { net, port, file, out, log, piped } = options;
  rmSync(out, { force: true });
  const { size } = statSync(file);
  const first = await FirstFrame.watch(
    (argv) => net.on('sender', argv),
    net.device,
    port,
    ({ length }) => length > DATA_FRAME,
  );
  const receiver = start(net.on('isolated', options.receiver), undefined, piped ? out : log, log);
  let sender: ChildProcess | undefined;
  try {
    await delay(RECEIVER_START_MS);
    sender = start(net.on('sender', options.sender), piped ? file : undefined, log, log);
    const gone = once(receiver, 'exit');
    const late = new AbortController();
    const ended = await Promise.race([
      gone.then(() => true),
      delay(options.deadlineMs, false, { signal: late.signal }).catch(() => false),
    ]);
    const endedAt = Date.now();
    late.abort();
    if (!ended || first.at === undefined) return undefined;
    return (await sameBytes(file, out)) ? mbps(size, (endedAt - first.at) / 1000) : undefined;
  } finally {
    await first.stop();
    for (const child of [receiver, sender]) if (child?.exitCode === null) child.kill('SIGKILL');
    rmSync(out, { force: true });
  }
}

/** The peers say nothing that could be waited for when they listen. */
const RECEIVER_START_MS = 400;

function start(
  [file = '', ...args]: readonly string[],
  input: string | undefined,
  output: string,
  log: string,
): ChildProcess {
  const descriptors = [
    input === undefined ? undefined : openSync(input, 'r'),
    openSync(output, 'a'),
    openSync(log, 'a'),
  ];
  const child = spawn(file, args, { stdio: [descriptors[0] ?? 'ignore', descriptors[1], descriptors[2]] });
  for (const descriptor of descriptors) if (descriptor !== undefined) closeSync(descriptor);
  return child;
}

async function sameBytes(a: string, b: string): Promise<boolean> {
  try {
    await run('cmp', ['--silent', a, b]);
    return true;
  } catch {
    return false;
  }
}

export interface PeerRun {
  readonly net: Net;
  readonly file: string;
  readonly dir: string;
}

const UDPCAST_FEC = '16x8/128';

/** udpcast one way with FEC at a bit rate; Mb/s of the file, undefined when it arrived damaged or not at all. */
export async function udpcast({ net, file, dir }: PeerRun, rateMbps: number): Promise<number | undefined> {
  mkdirSync(dir, { recursive: true });
  const port = (await freePort()) & ~1;
  const out = join(dir, 'udpcast.out');
  const base = ['--portbase', String(port)];
  const to = ['--mcast-rdv-addr', net.host, '--mcast-data-addr', net.host];
  const way = ['--async', '--nokbd', '--fec', UDPCAST_FEC, '--max-bitrate', `${String(Math.round(rateMbps))}m`];
  const greeting = ['--autostart', '1', '--rexmit-hello-interval', '100'];
  return transfer({
    net,
    port,
    file,
    out,
    log: join(dir, 'udpcast.log'),
    receiver: [
      ...['udp-receiver', '--interface', net.isolatedDevice, '--file', out, '--nokbd', '--nosync'],
      ...['--rcvbuf', '16777216', ...base],
    ],
    sender: ['udp-sender', '--interface', net.device, '--file', file, ...way, ...to, ...greeting, ...base],
    piped: false,
    deadlineMs: 10_000 + (statSync(file).size * 8 * 3) / (rateMbps * 1000),
  });
}

/** lidi from standard input to standard output, MTU 1500 as the others, unpaced; undefined when it lost anything. */
export async function lidi({ net, file, dir }: PeerRun): Promise<number | undefined> {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  return transfer({
    net,
    port,
    file,
    out: join(dir, 'lidi.out'),
    log: join(dir, 'lidi.log'),
    receiver: ['diode-oneshot-receive', '--from', `0.0.0.0:${String(port)}`, '--batch', '128'],
    sender: ['diode-oneshot-send', '--to', `${net.host}:${String(port)}`, '--batch', '128'],
    piped: true,
    deadlineMs: 60_000,
  });
}
