import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../packages/testkit/src/random.ts';
import { type ChaosCase, type Figures, must, mustEqual } from './case.ts';
import { MIB } from './content.ts';
import { keepsTo, keptTo, type Line, lineThrough, type Point } from './line.ts';
import { fileBytes, openFiles, residentBytes } from './procfs.ts';
import { Rig } from './rig.ts';

const MEMORY_MS = 50;
const FILES_MS = 1000;
/** Between bundles. While it warms up many come at once: what runs once for each is compiled after hundreds of them, and compiled better after thousands. */
const PAUSE_MS = 700;
const WARMING_LANES = 6;
/**
 * The daemons collect garbage every two minutes from their start on (docs/adr/0011). Nothing is sent around that time, so that what is
 * left then is what stays: a bundle that is under way takes tens of MiB, and garbage some MiB a second.
 */
const ROUND_MS = 120_000;
const REST_MS = { before: 10_000, after: 20_000 };
const LARGEST = 24 * MIB;
/** As many of ten bytes as of ten MiB. */
const ofAllMagnitudes = (unit: number): number => LARGEST ** unit;
/**
 * Of one lane, large ones, every other of 69 blocks: what leaves in less than twice the 468 ms (35 blocks) that `sluice plan` prints for this
 * rate is one group, and no group is longer. They touch the sender's arena as far as it ever will be here.
 */
const LONGEST_GROUP = (2 * 35 - 1) * 200 * 1408;
const large = (unit: number): number => (unit < 0.5 ? LONGEST_GROUP : LARGEST * unit);
const DEADLINE_MS = 120_000;
const HOUR_MS = 3_600_000;
/** Of the time so far, the part that a line is fitted to: before that it warms up. */
const FITTED = 2 / 3;
/** Where the scatter of half an hour does not let it be told whether something grows, it goes on: for as long again, and once more. */
const STRETCHES = 3;
const RSS_MIB_PER_HOUR = 1;
const FILES_PER_HOUR = 1;
/** SQLite starts a write-ahead log over at 1,000 pages of 4 KiB; one that grows beyond is never started over. */
const WAL_BYTES = 8 * MIB;
/** A line through less time than this says nothing: what is shorter is printed and not judged. */
const FITTED_LEAST_HOURS = 1 / 6;

/** What one daemon had: x hours since the beginning, y bytes or a number. */
interface Curves {
  readonly memory: Point[];
  readonly files: Point[];
  readonly log: Point[];
}

interface Watched {
  readonly name: string;
  readonly curves: Curves;
}

/** Bundles of all sizes, files and images, one after the other; what is delivered is looked at and removed. */
async function traffic(rig: Rig, lane: number, { pauseMs, sizeOf, clock, over }: Traffic): Promise<number> {
  const random = new Random(lane);
  let sent = 0;
  for (;;) {
    await delay(Math.max(pauseMs, REST_MS.before + REST_MS.after - ((clock() + REST_MS.before) % ROUND_MS)));
    if (over()) return sent;
    const name = `soak-${String(lane)}-${String(sent)}`;
    const bytes = Math.max(1, Math.floor(sizeOf(random.unit())));
    if (random.chance(0.25)) {
      const { sequence, image } = rig.submitImage('soak', name, [bytes, 1000]);
      await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
      rmSync(image.dir, { recursive: true });
    } else {
      const { sequence } = rig.submitFile(name, bytes);
      await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
      must(rig.delivered(name), `${name} was not delivered as it was`);
      for (const place of ['files', 'input']) rmSync(join(rig.dir, place, name));
    }
    sent += 1;
  }
}

interface Traffic {
  readonly pauseMs: number;
  /** Bytes of the next bundle's content, by a random number from 0 to 1. */
  readonly sizeOf: (unit: number) => number;
  /** Milliseconds since the daemons were started. */
  readonly clock: () => number;
  readonly over: () => boolean;
}

/** Memory, open files and write-ahead logs of each daemon, for as long as bundles come. */
export const soak: ChaosCase = {
  name: 'soak',
  about:
    'mixed bundles at loss for 30 minutes (--minutes), up to three times that until it can be told: memory at most 1 MiB an hour, open files and WAL constant',
  run: async (figures, { minutes }) => {
    await using rig = await Rig.create({
      name: 'soak',
      lossPercent: 2,
      tune: ({ sender }) => {
        sender.link.rate = '200Mbit/s';
        Object.assign(sender.carousel, { passes: 2, gap: '2s', timeToLive: 20 });
      },
    });
    const started = performance.now();
    const clock = (): number => performance.now() - started;
    const stretchMs = minutes * 60_000;
    await rig.startAll();
    const daemons = {
      sender: [rig.world.program('sender').pid, 'sender'],
      link: [rig.world.linkPid(), undefined],
      receiver: [rig.world.program('receiver').pid, 'receiver'],
      importer: [rig.world.program('importer').pid, 'importer'],
    } as const;
    const all = Object.entries(daemons).map(([name, [pid, place]]) => {
      const curves: Curves = { memory: [], files: [], log: [] };
      return { name, pid, wal: place && join(rig.dir, place, 'ledger.sqlite-wal'), curves };
    });
    let told: Told = { faults: [], known: false };
    let over = false;
    const watch = async (everyMs: number, look: (daemon: (typeof all)[number], x: number) => void): Promise<void> => {
      while (!over) {
        for (const daemon of all) look(daemon, clock() / HOUR_MS);
        await delay(everyMs);
      }
    };
    const judge = async (): Promise<void> => {
      for (let stretch = 1; !over; stretch += 1) {
        await delay(stretch * stretchMs + REST_MS.after - clock());
        figures.minutes = stretch * minutes;
        told = judged(all, stretch * minutes, figures, stretch === STRETCHES);
        over = told.known;
      }
    };
    const work = async (): Promise<void> => {
      const warming = { pauseMs: 0, clock, over: () => clock() > stretchMs * (1 - FITTED) };
      const lanes = Array.from({ length: WARMING_LANES }, (_, lane) =>
        traffic(rig, 1 + lane, { ...warming, sizeOf: lane === 0 ? large : ofAllMagnitudes }),
      );
      figures['bundles while it warms up'] = (await Promise.all(lanes)).reduce((a, b) => a + b, 0);
      figures.bundles = await traffic(rig, 0, { pauseMs: PAUSE_MS, sizeOf: ofAllMagnitudes, clock, over: () => over });
    };
    await Promise.all([
      work(),
      judge(),
      watch(MEMORY_MS, ({ pid, curves }, x) => curves.memory.push({ x, y: residentBytes(pid) / MIB })),
      watch(FILES_MS, ({ pid, wal, curves }, x) => {
        curves.files.push({ x, y: openFiles(pid) });
        if (wal !== undefined) curves.log.push({ x, y: fileBytes(wal) });
      }),
    ]);
    mustEqual(rig.world.linkPid(), daemons.link[0], 'process of link');
    must(told.faults.length === 0, told.faults.join('; '));
  },
};

/** The least in each rest, from the one on with which the part that is judged begins. */
function leasts(curve: readonly Point[], from: number): Point[] {
  const round = ROUND_MS / HOUR_MS;
  const [before, after] = [REST_MS.before / HOUR_MS, REST_MS.after / HOUR_MS];
  const resting = curve.filter(({ x }) => x > from - before && (x + before) % round < before + after);
  const rests = Map.groupBy(resting, ({ x }) => Math.round(x / round) * round);
  return [...rests].map(([x, points]) => ({ x, y: Math.min(...points.map(({ y }) => y)) }));
}

const words = ({ slope, error }: Line): string => `${slope.toFixed(2)} ±${error.toFixed(2)}`;

interface Told {
  /** What is not constant, a sentence each. */
  readonly faults: string[];
  /** False while a longer soak would tell more. */
  readonly known: boolean;
}

/** What the daemons' curves say after so many minutes; in the end what is not known is a fault too. */
function judged(all: readonly Watched[], minutes: number, figures: Figures, end: boolean): Told {
  const from = (minutes / 60) * (1 - FITTED);
  const enough = minutes / 60 - from >= FITTED_LEAST_HOURS;
  const faults: string[] = [];
  let known = true;
  for (const { name, curves } of all) {
    const least = leasts(curves.memory, from);
    const lines = [
      ['memory', 'MiB', lineThrough(least), RSS_MIB_PER_HOUR],
      ['open files', 'files', lineThrough(leasts(curves.files, from)), FILES_PER_HOUR],
    ] as const;
    const log = Math.max(0, ...curves.log.map(({ y }) => y));
    figures[name] =
      `${enough ? '' : '(not judged) '}${least.map(({ y }) => y.toFixed(1)).join(' ')} MiB, ` +
      `${lines.map(([, unit, line]) => `${words(line)} ${unit} an hour`).join(', ')}, WAL at most ${String(Math.round(log / 1024))} KiB`;
    if (log > WAL_BYTES) faults.push(`the write-ahead log of ${name} has ${String(log)} bytes`);
    for (const [what, unit, line, most] of enough ? lines : []) {
      const keeps = end ? keptTo(line, most) : keepsTo(line, most);
      if (keeps === undefined) known = false;
      if (keeps === false)
        faults.push(
          `${what} of ${name}: ${words(line)} ${unit} an hour where ${String(most)} is allowed, known to half of it`,
        );
    }
  }
  return { faults, known: known || faults.length > 0 };
}
