import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Side } from '../rig/diode.ts';
import { freePort, type Program, until } from '../world/processes.ts';
import { type BundleView, World } from '../world/world.ts';
import { announcesBundle, FirstFrame } from './capture.ts';
import { handIn, type Input } from './input.ts';
import type { Net } from './net.ts';
import { busySeconds, cpuSeconds, kernelDrops, peakMiB } from './procfs.ts';
import { apply, frameBytes, type Settings } from './settings.ts';
import type { LinkStatus, SenderStatus } from './stages.ts';

const run = promisify(execFile);

/** How often the receiver's log is looked at. */
const LOOK_MS = 3;
/** With the pass sent and the bundle not whole, this long without any progress means that it is lost. */
const STALL_MS = 3500;
/** Longest that a bundle may take: this, and as long as its bytes take at 20 Mb/s. */
const PATIENCE_MS = 180_000;
const SLOWEST_BYTES_PER_MS = 2500;
/** Link and transmit worker tell how they are once a second. */
const STATUS_MS = 1000;

export interface PairOptions {
  readonly dir: string;
  readonly keysFrom: string | undefined;
  readonly net: Net;
  /** UDP port of link, where the net must know it beforehand. */
  readonly linkPort?: number;
  readonly settings: Settings;
  readonly byHand: readonly (readonly [path: string, value: unknown])[];
  /** Put in front of a daemon's words. */
  readonly under?: (daemon: 'sender' | 'receiver') => readonly string[];
}

/** What became of a bundle that was handed in. Times are milliseconds since 1970. */
export type Outcome =
  | {
      readonly published: true;
      readonly submittedAt: number;
      readonly firstDatagramAt: number;
      readonly publishedAt: number;
      readonly passSentAt: number;
      readonly cpuSender: number;
      readonly cpuReceiver: number;
      readonly cpuMachine: number;
      readonly kernelDrops: number;
    }
  | { readonly published: false; readonly why: string; /** Ethernet bits per second. */ readonly offered: number };

type End =
  | { readonly lost: undefined; readonly at: number; readonly passSentAt: number | undefined }
  | { readonly lost: string; readonly passSentAt: number };

interface ReceiverStatus {
  readonly link?: LinkStatus;
  readonly open?: readonly { readonly objects: number; readonly whole: number }[];
}

/** The output of a program, read again only when there is more of it: looking often must cost nothing. */
class Output {
  readonly #program: Program;
  #size = -1;
  #text = '';

  constructor(program: Program) {
    this.#program = program;
  }

  count(part: string): number {
    const { size } = statSync(this.#program.log);
    if (size !== this.#size) this.#text = this.#program.output();
    this.#size = size;
    return this.#text.split(part).length - 1;
  }
}

const PUBLISHED = '"msg":"published"';
const PASS_SENT = '"msg":"pass sent"';

/** Datagrams that link did not take, by verdict: without them a loss of its own limits looks like one of the net. */
const refusedOf = (verdicts: Readonly<Record<string, number>> = {}): Record<string, number> =>
  Object.fromEntries(Object.entries(verdicts).filter(([verdict]) => verdict !== 'accepted' && verdict !== 'surplus'));

/** Redis, receiver with link, and sender, as processes of their own on the two sides of a net. No importer: publish is the end. */
export class Pair {
  readonly world: World;
  readonly #net: Net;
  readonly #options: PairOptions;

  private constructor(world: World, options: PairOptions) {
    this.world = world;
    this.#net = options.net;
    this.#options = options;
  }

  /** Directories, keys and configurations. Nothing runs yet, so inputs can be made meanwhile. */
  static async create(options: PairOptions): Promise<Pair> {
    const { dir, keysFrom, net, settings, byHand, under } = options;
    const linkPort = options.linkPort ?? (await freePort());
    const world = await World.create({
      dir,
      linkPort,
      sendTo: { host: net.host, port: linkPort },
      ...(keysFrom === undefined ? {} : { keysFrom }),
      on: (side: Side, argv) => {
        const daemon = (['sender', 'receiver'] as const).find((each) => argv.includes(each));
        const front = daemon === undefined ? [] : (under?.(daemon) ?? []);
        return net.on(side, [...front, ...argv]);
      },
      tune: (configs) => {
        apply(configs, settings, byHand);
      },
    });
    return new Pair(world, options);
  }

  async start(): Promise<void> {
    const { world } = this;
    world.startRedis();
    await world.program('redis').line(/Ready to accept connections/);
    await world.start('receiver');
    await world.start('sender');
  }

  get senderRoots(): readonly number[] {
    return [this.world.program('sender').pid];
  }

  /** The receiver; link is its child. */
  get receiverRoots(): readonly number[] {
    return [this.world.program('receiver').pid];
  }

  /** A daemon's own status; the answer comes from within its namespace. */
  async #status<T>(side: Side, path: string): Promise<T | undefined> {
    const url = this.world.url(side === 'sender' ? 'sender' : 'receiver', path);
    const [file = '', ...args] = this.#net.on(side, ['curl', '-s', '-m', '5', url]);
    try {
      return JSON.parse((await run(file, args, { maxBuffer: 2 ** 26 })).stdout) as T;
    } catch {
      return undefined;
    }
  }

  async senderStatus(): Promise<SenderStatus> {
    return (await this.#status<SenderStatus>('sender', '/v1/status')) ?? {};
  }

  async receiverStatus(): Promise<ReceiverStatus> {
    return (await this.#status<ReceiverStatus>('isolated', '/v1/status')) ?? {};
  }

  /** Both sides' status once what happened so far is in it. */
  async settledStatus(): Promise<{ readonly sender: SenderStatus; readonly link: LinkStatus }> {
    await delay(2.2 * STATUS_MS);
    return { sender: await this.senderStatus(), link: (await this.receiverStatus()).link ?? {} };
  }

  /** Hands a bundle in and measures until it is published, or lost. */
  async carry(input: Input, name: string): Promise<Outcome> {
    const { world } = this;
    const linkPid = world.linkPid();
    const port = world.ports.link;
    const before = {
      published: new Output(world.program('receiver')).count(PUBLISHED),
      passes: new Output(world.program('sender')).count(PASS_SENT),
      drops: kernelDrops(linkPid, port),
      datagrams: (await this.senderStatus()).transmit?.counters?.datagrams ?? 0,
    };
    const first = await FirstFrame.watch(
      (argv) => this.#net.on('sender', argv),
      this.#net.device,
      port,
      announcesBundle,
    );
    try {
      const cpu = this.#cpu();
      const submittedAt = Date.now();
      handIn(world, input, name);
      const end = await this.#publishedOrLost(before, input.bytes);
      const used = this.#cpu();
      const firstDatagramAt = first.at;
      if (end.lost !== undefined) {
        const sentFor = (end.passSentAt - (firstDatagramAt ?? submittedAt)) / 1000;
        const datagrams = ((await this.senderStatus()).transmit?.counters?.datagrams ?? 0) - before.datagrams;
        const bits = datagrams * frameBytes(this.#options.settings.symbolBytes) * 8;
        return { published: false, why: end.lost, offered: sentFor > 0 ? bits / sentFor : 0 };
      }
      if (firstDatagramAt === undefined) throw new Error('published, and no first datagram was seen on the interface');
      return {
        published: true,
        submittedAt,
        firstDatagramAt,
        publishedAt: end.at,
        passSentAt: end.passSentAt ?? (await this.#passSent(before.passes)),
        cpuSender: used.sender - cpu.sender,
        cpuReceiver: used.receiver - cpu.receiver,
        cpuMachine: used.machine - cpu.machine,
        kernelDrops: kernelDrops(linkPid, port) - before.drops,
      };
    } finally {
      await first.stop();
    }
  }

  #cpu(): { readonly sender: number; readonly receiver: number; readonly machine: number } {
    return {
      sender: cpuSeconds(this.senderRoots),
      receiver: cpuSeconds(this.receiverRoots),
      machine: busySeconds(),
    };
  }

  async #passSent(before: number): Promise<number> {
    const output = new Output(this.world.program('sender'));
    await until('the pass to be over', 60_000, () => output.count(PASS_SENT) > before || undefined);
    return Date.now();
  }

  /** Waits until the receiver has published, or nothing more can come of waiting. */
  async #publishedOrLost(before: { readonly published: number; readonly passes: number }, bytes: number): Promise<End> {
    const [sender, receiver] = [new Output(this.world.program('sender')), new Output(this.world.program('receiver'))];
    const limitMs = PATIENCE_MS + bytes / SLOWEST_BYTES_PER_MS;
    const deadline = Date.now() + limitMs;
    let passSentAt: number | undefined;
    let last = { signature: '', at: 0 };
    let asked = 0;
    for (;;) {
      const now = Date.now();
      if (receiver.count(PUBLISHED) > before.published) return { lost: undefined, at: now, passSentAt };
      if (passSentAt === undefined && sender.count(PASS_SENT) > before.passes) passSentAt = now;
      // Not a question of rate: a slower sender would not help.
      if (now > deadline)
        throw new Error(
          `not published after ${String(limitMs / 1000)} s${passSentAt === undefined ? ', not sent either' : ''}`,
        );
      if (now - asked > 500) {
        asked = now;
        const broken = this.#broken();
        if (broken !== undefined) throw new Error(broken);
        if (passSentAt !== undefined) {
          const signature = await this.#progress();
          if (signature !== last.signature) last = { signature, at: now };
          else if (signature !== '' && now - last.at > STALL_MS) return { lost: signature, passSentAt };
        }
      }
      await delay(LOOK_MS);
    }
  }

  /** What says that no waiting helps. */
  #broken(): string | undefined {
    for (const name of ['sender', 'receiver']) {
      const program = this.world.program(name);
      const line = program
        .output()
        .split('\n')
        .find((each) => /"msg":"(input refused|quarantined|pass failed|input not taken)/.test(each));
      if (line !== undefined) return `${name} says: ${line.slice(0, 600)}`;
      if (program.ended) return `${name} ended: ${program.output().slice(-2000)}`;
    }
    return undefined;
  }

  /** A text that changes while a bundle comes in; empty when all of it is there and only its verification is left. */
  async #progress(): Promise<string> {
    const { link, open = [] } = await this.receiverStatus();
    // A receiver that does not answer now is at work.
    if (link === undefined) return '';
    if (open.some(({ objects, whole }) => whole >= objects)) return '';
    const numbers = link.numbers ?? {};
    // Not its blocks, nor what is surplus: those of heartbeats and histories count as well, for ever.
    return JSON.stringify({
      open: open.map(({ objects, whole }) => `${String(whole)} of ${String(objects)} objects`),
      queued: numbers.spoolQueuedBytes,
      lost: numbers.lost,
      refused: refusedOf(link.verdicts),
      kernelDrops: numbers.kernelDrops,
    });
  }

  peaks(): { readonly sender: number; readonly receiver: number } {
    return { sender: peakMiB(this.senderRoots), receiver: peakMiB(this.receiverRoots) };
  }

  /** The bundle's state as the receiver's ledger has it. */
  async bundles(): Promise<readonly BundleView[]> {
    return (await this.#status<{ items: BundleView[] }>('isolated', '/v1/bundles'))?.items ?? [];
  }

  /** Where the receiver publishes. */
  get store(): string {
    return join(this.world.dir, 'store');
  }

  async stop(): Promise<void> {
    await this.world.stop();
  }
}
