import { statSync } from 'node:fs';
import { readTsi } from '@sluice/alc';
import { createCodec } from '@sluice/fec';
import { type CaptureCode, type CapturedDatagram, readChunkLog } from '@sluice/pcapng';
import type { Verdict } from '@sluice/ports';
import { DEFAULT_LIMITS, ReceiveMachine } from '@sluice/transfer';
import { sha256 } from '@sluice/trust';
import { Progress } from '../progress.ts';
import { arrange } from '../replay-files.ts';
import { HeaderTally, recordedVerdict, wasAuthentic } from '../replay-headers.ts';
import { type Comparison, problemsOf, type ReplayReport } from '../replay-report.ts';
import type { ReplaySpool } from '../replay-spool.ts';
import type { ReplayKeys } from './keys.ts';
import type { Selection } from './selection.ts';
import type { Watch } from './watch.ts';

/** Memory for blocks that are not whole: a replay runs in half a gigabyte. */
const BLOCK_BYTES = 128 * 2 ** 20;

export interface ReplayPlan {
  readonly paths: readonly string[];
  readonly keys: ReplayKeys;
  readonly selection: Selection;
  readonly spool: ReplaySpool;
  /** Sees each datagram, where a report is wanted. */
  readonly watch?: Watch;
  readonly onNamed?: Watch['named'];
  /** Sees each datagram that is authentic, where it is wanted on. */
  readonly onAuthentic?: (payload: Uint8Array, ns: bigint) => Promise<void> | void;
}

const LIMITS = { ...DEFAULT_LIMITS, blockBytes: BLOCK_BYTES };

/** Feeds logs through the receiving machine, with a replay window of its own. Streams: nothing grows with the log but what is open. */
export async function runReplay(plan: ReplayPlan): Promise<ReplayReport> {
  const { paths, keys, selection, spool } = plan;
  const { files, gaps, first } = arrange(paths);
  const heard = { sessions: new Array<number>(), heartbeats: 0 };
  const tally = new Tally(plan, openMachine(plan, heard));
  const faults: { file: string; code: CaptureCode; offset: number }[] = [];
  const progress = new FileProgress(files);
  for await (const item of readChunkLog(files, { statistics: true })) {
    if (item.kind === 'fault') faults.push({ file: item.file ?? '', code: item.code, offset: item.offset });
    if (item.kind === 'statistics') tally.unlogged += item.seen.droppedByLog;
    if (item.kind === 'end') progress.ended();
    if (item.kind !== 'datagram') continue;
    progress.read(item.udp.payload.length);
    if (isSelected(item, selection)) await tally.take(item);
    if (spool.isFilled) await spool.settle();
  }
  progress.end();
  const { blocks, recoveredSymbols, verdicts } = tally.machine.counters;
  const missing = tally.machine.lost;
  const report = {
    files: files.length,
    firstFile: first === 1 ? undefined : first,
    tagsChecked: keys.isChecked,
    ...tally.counts,
    byHeaders: {
      verdicts: sorted(tally.headers.verdicts),
      lost: Math.max(0, tally.headers.lost - Math.max(0, tally.unlogged - missing)),
    },
    verdicts: sorted(verdicts),
    recorded: tally.recorded,
    differences: sorted(tally.differences),
    // What the log itself left out is missing in the numbers, too.
    lost: Math.max(0, missing - tally.unlogged),
    unlogged: tally.unlogged,
    recoveredSymbols,
    blocks,
    ...heard,
    objects: await spool.finish(),
    faults,
  };
  return { ...report, problems: problemsOf(report, gaps) };
}

const sorted = (counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> =>
  Object.fromEntries([...counts].toSorted());

function isSelected({ udp, timestampNs }: CapturedDatagram, { from, to, port, tsi }: Selection): boolean {
  if (port !== undefined && udp.dstPort !== port) return false;
  if (from !== undefined && timestampNs < from) return false;
  if (to !== undefined && timestampNs > to) return false;
  return tsi === undefined || (udp.payload.length >= 12 && readTsi(udp.payload, 0) === tsi);
}

function openMachine(
  { keys, spool, watch, onNamed }: ReplayPlan,
  heard: { sessions: number[]; heartbeats: number },
): ReceiveMachine {
  const parts: ConstructorParameters<typeof ReceiveMachine>[0] = {
    ...{ keys: keys.keys, codec: createCodec(), sha256, spool },
    onNamed: (...named) => {
      watch?.named(...named);
      onNamed?.(...named);
    },
    onEvent: (event) => {
      if (event.type === 'session') heard.sessions.push(event.tsi);
      if (event.type === 'heartbeat') heard.heartbeats += 1;
    },
  };
  return new ReceiveMachine(parts, LIMITS, 0);
}

/** Authentic, and placed or not needed. */
const isTaken = (verdict: Verdict): boolean => verdict === 'accepted' || verdict === 'surplus';

/** What is counted on the way. */
class Tally {
  readonly machine: ReceiveMachine;
  readonly #plan: ReplayPlan;
  readonly counts = { datagrams: 0, cut: 0 };
  readonly headers = new HeaderTally();
  readonly recorded: Comparison = { same: 0, need: 0, differing: 0, unrecorded: 0, unheld: 0 };
  /** `then -> now`, where they are not the same. */
  readonly differences = new Map<string, number>();
  /** Datagrams that the log says it left out. */
  unlogged = 0;

  constructor(plan: ReplayPlan, machine: ReceiveMachine) {
    this.#plan = plan;
    this.machine = machine;
  }

  async take({ udp, comment, timestampNs }: CapturedDatagram): Promise<void> {
    const { keys, watch, onAuthentic } = this.#plan;
    this.counts.datagrams += 1;
    const { payload, originalLength } = udp;
    const then = recordedVerdict(comment);
    const now = Number(timestampNs);
    if (payload.length < originalLength) {
      this.counts.cut += 1;
      this.headers.add(payload, then);
      if (then !== undefined) watch?.datagram(payload, then, now);
      return;
    }
    keys.recorded(then);
    this.machine.tick(now);
    const verdict = this.machine.receive(payload, 0, payload.length, now);
    this.#compare(then, verdict);
    watch?.datagram(payload, verdict, now);
    if (onAuthentic !== undefined && wasAuthentic(verdict)) await onAuthentic(payload, timestampNs);
  }

  #compare(then: Verdict | undefined, now: Verdict): void {
    const isTag = (verdict: Verdict | undefined): boolean => verdict === 'bad-tag' || verdict === 'unknown-asid';
    const isSame = then === now || (!this.#plan.keys.isChecked && isTag(then) && isTag(now));
    if (then === undefined) this.recorded.unrecorded += 1;
    else if (isSame) this.recorded.same += 1;
    else {
      this.recorded[isTaken(then) && isTaken(now) ? 'need' : 'differing'] += 1;
      const name = `${then} -> ${now}`;
      this.differences.set(name, (this.differences.get(name) ?? 0) + 1);
    }
    if (wasAuthentic(then) && isTag(now)) this.recorded.unheld += 1;
  }
}

/** How far the files are read. */
class FileProgress {
  readonly #sizes: readonly number[];
  readonly #total: number;
  readonly #progress = new Progress({ what: 'replay' });
  #done = 0;
  #file = 0;
  #within = 0;

  constructor(files: readonly string[]) {
    this.#sizes = files.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
    this.#total = this.#sizes.reduce((sum, size) => sum + size, 0);
  }

  read(bytes: number): void {
    this.#within += bytes;
    this.#progress.at(this.#done + Math.min(this.#within, this.#sizes[this.#file] ?? 0), this.#total);
  }

  ended(): void {
    this.#done += this.#sizes[this.#file] ?? 0;
    this.#file += 1;
    this.#within = 0;
  }

  end(): void {
    this.#progress.end();
  }
}
