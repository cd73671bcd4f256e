import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { addRelease, type Input, makeObject } from './input.ts';
import type { Net } from './net.ts';
import { type Outcome, Pair } from './pair.ts';
import { frameBytes, type Settings } from './settings.ts';
import { type SenderStatus, type Stage, stagesBetween } from './stages.ts';
import { GIB, mbps } from './stats.ts';

const run = promisify(execFile);

/** One bundle carried, verified, published and checked. */
export interface Carried {
  readonly goodputMbps: number;
  readonly linkGoodputMbps: number;
  /** CPU-seconds per GiB. */
  readonly cpuSender: number;
  readonly cpuReceiver: number;
  readonly cpuMachine: number;
  readonly seconds: number;
  readonly linkSeconds: number;
  readonly firstDatagramMs: number;
  readonly rssSenderMiB: number;
  readonly rssReceiverMiB: number;
  readonly kernelDrops: number;
  readonly lostOnNet: number;
  readonly warmUpLost: boolean;
  /** What the sender put on the net while its pass lasted, in Ethernet bytes. */
  readonly wireMbps: number;
  readonly recovered: number;
  readonly fsyncs: { readonly sender: number; readonly receiver: number } | undefined;
  readonly stages: readonly Stage[];
  /** What the daemons say of themselves. */
  readonly effective: { readonly senderIo: unknown; readonly linkIo: unknown; readonly receiveBuffer: unknown };
}

export type Run = { readonly carried: Carried } | { readonly lost: string; readonly offered: number };

export interface RunOptions {
  /** A directory of the run's own, on a disk; gone afterwards. */
  readonly dir: string;
  readonly keysFrom: string | undefined;
  readonly net: Net;
  readonly linkPort?: number;
  readonly settings: Settings;
  readonly byHand: readonly (readonly [path: string, value: unknown])[];
  readonly make: (directory: string) => Input;
  /** `--repository` of `sluice release create`. */
  readonly repositories?: readonly string[];
  /** Bytes of a bundle carried before, so that the daemons are warm, as those of a running pair are; 0 for none. */
  readonly warmUp: number;
  /** Counts fsync calls with strace, which stops the daemons at these calls alone. */
  readonly countFsyncs?: boolean;
  /** Logs stay in `dir`. */
  readonly keep: boolean;
}

/** Name of the measured release. */
const MEASURED = 'release-measured';
const FSYNC_CALLS = 'fsync,fdatasync,syncfs,sync_file_range,msync';

/** One run: a fresh pair, a bundle to warm up, the bundle that is measured, and its published bytes under sha256sum. */
export async function carryOnce(options: RunOptions): Promise<Run> {
  const { dir, keep, countFsyncs } = options;
  const pair = await Pair.create(
    countFsyncs === true ? { ...options, under: (daemon) => tracing(dir, daemon) } : options,
  );
  let whole = false;
  try {
    const result = await carryWithin(pair, options);
    whole = 'carried' in result;
    return result;
  } finally {
    await pair.stop();
    if (!keep) removeBut(dir, whole ? [] : ['logs', 'sender.json', 'receiver.json', 'link.json']);
  }
}

/** What a failed run leaves is there to be read; its bulk is not. */
function removeBut(dir: string, kept: readonly string[]): void {
  for (const name of readdirSync(dir)) {
    if (!kept.includes(name)) rmSync(join(dir, name), { recursive: true, force: true });
  }
  if (kept.length === 0) rmSync(dir, { recursive: true, force: true });
}

async function carryWithin(pair: Pair, options: RunOptions): Promise<Run> {
  const { dir, net, warmUp, make, repositories, countFsyncs } = options;
  const warm = warmUp > 0 ? makeObject(join(dir, 'input/warm-up'), warmUp) : undefined;
  if (warm !== undefined) addRelease(pair.world, warm, 'release-warm-up');
  const input = make(join(dir, 'input/measured'));
  addRelease(pair.world, input, MEASURED, repositories);
  // What was written before must not be on its way to the disk during the measurement.
  await run('sync', ['-f', dir]);
  await pair.start();
  // A pair that is cold may lose what it would not when warm: that is no result.
  const warmUpLost = warm !== undefined && !(await pair.carry(warm, 'warm-up')).published;
  const before = { ...(await pair.settledStatus()), lost: net.lost() };
  const outcome = await pair.carry(input, 'measured');
  if (!outcome.published) return { lost: outcome.why, offered: outcome.offered };
  const peaks = pair.peaks();
  const after = { ...(await pair.settledStatus()), lost: net.lost() };
  await checkLedger(pair);
  await pair.stop();
  await checkPublished(pair.store, input, dir);
  const recovered = (numbers: Readonly<Record<string, number>> = {}): number => numbers.recoveredSymbols ?? 0;
  return {
    carried: {
      ...figures(outcome, input.bytes),
      wireMbps: wire(before.sender, after.sender, outcome, options.settings),
      rssSenderMiB: peaks.sender,
      rssReceiverMiB: peaks.receiver,
      kernelDrops: outcome.kernelDrops,
      lostOnNet: after.lost - before.lost,
      warmUpLost,
      recovered: recovered(after.link.numbers) - recovered(before.link.numbers),
      fsyncs: countFsyncs === true ? countIn(outcome, dir) : undefined,
      stages: stagesBetween(before, after),
      effective: {
        senderIo: after.sender.link?.io,
        linkIo: after.link.io,
        receiveBuffer: after.link.receiveBuffer,
      },
    },
  };
}

type Published = Outcome & { readonly published: true };

function wire(before: SenderStatus, after: SenderStatus, outcome: Published, { symbolBytes }: Settings): number {
  const datagrams = (after.transmit?.counters?.datagrams ?? 0) - (before.transmit?.counters?.datagrams ?? 0);
  return mbps(datagrams * frameBytes(symbolBytes), (outcome.passSentAt - outcome.firstDatagramAt) / 1000);
}

function figures(outcome: Published, bytes: number) {
  const { submittedAt, firstDatagramAt, publishedAt, cpuSender, cpuReceiver, cpuMachine } = outcome;
  const gib = bytes / GIB;
  const seconds = (publishedAt - submittedAt) / 1000;
  const linkSeconds = (publishedAt - firstDatagramAt) / 1000;
  return {
    goodputMbps: mbps(bytes, seconds),
    linkGoodputMbps: mbps(bytes, linkSeconds),
    cpuSender: cpuSender / gib,
    cpuReceiver: cpuReceiver / gib,
    cpuMachine: cpuMachine / gib,
    seconds,
    linkSeconds,
    firstDatagramMs: firstDatagramAt - submittedAt,
  };
}

/** The receiver's ledger, asked over HTTP, must say what its log said. */
async function checkLedger(pair: Pair): Promise<void> {
  const bundles = await pair.bundles();
  const ours = bundles.find(({ name }) => name === MEASURED);
  if (ours === undefined || !['published', 'queued'].includes(ours.state))
    throw new Error(`published by its log, but the ledger says ${JSON.stringify(bundles).slice(0, 500)}`);
}

const tracePath = (dir: string, daemon: string): string => join(dir, `logs/fsync-${daemon}.txt`);

const tracing = (dir: string, daemon: string): readonly string[] => [
  ...['strace', '-D', '-f', '--seccomp-bpf', '-qq', '-ttt', '-e', `trace=${FSYNC_CALLS}`, '-e', 'signal=none'],
  ...['-o', tracePath(dir, daemon)],
];

/** Calls between submit and publish, out of the traces. */
function countIn(
  { submittedAt, publishedAt }: Published,
  dir: string,
): { readonly sender: number; readonly receiver: number } {
  const count = (daemon: string): number =>
    countCalls(readFileSync(tracePath(dir, daemon), 'utf8'), submittedAt / 1000, publishedAt / 1000);
  return { sender: count('sender'), receiver: count('receiver') };
}

/** Calls in a trace of `strace -f -ttt` that began between two times; a call that another thread interrupts has two lines. */
export const countCalls = (trace: string, from: number, to: number): number =>
  trace.split('\n').filter((line) => {
    const [, seconds, call] = /^\d+ +(\d+\.\d+) (\w+)\(/.exec(line) ?? [];
    return call !== undefined && Number(seconds) >= from && Number(seconds) <= to;
  }).length;

/** Every content blob lies where it was published with the digest that sha256sum finds; those in packs once tar has unpacked them. */
async function checkPublished(store: string, input: Input, dir: string): Promise<void> {
  const list = join(dir, 'published.sha256');
  const packs = join(store, 'packs/sha256');
  for (const pack of existsSync(packs) ? readdirSync(packs) : [])
    await run('tar', ['--extract', '--file', join(packs, pack), '--directory', store]);
  writeFileSync(list, input.digests.map((hex) => `${hex}  blobs/sha256/${hex}\n`).join(''));
  await run('sha256sum', ['--check', '--strict', '--quiet', list], { cwd: store, maxBuffer: 2 ** 26 });
}
