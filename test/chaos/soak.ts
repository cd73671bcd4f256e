import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../packages/testkit/src/random.ts';
import { type ChaosCase, type Figures, must, mustEqual } from './case.ts';
import { MIB } from './content.ts';
import { grows, lineThrough, type Point } from './line.ts';
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
/** Large ones, of one lane: their last groups are the longest, and touch the sender's arena as far as it ever will be. */
const uniform = (unit: number): number => LARGEST * unit;
const DEADLINE_MS = 120_000;
const HOUR_MS = 3_600_000;
/** Of the whole time, the part that a line is fitted to: the rest is warming up. */
const FITTED = 2 / 3;
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

/** Bundles of all sizes, files and images, one after the other; what is delivered is looked at and removed. */
async function traffic(rig: Rig, lane: number, { pauseMs, sizeOf, clock, end }: Traffic): Promise<number> {
  const random = new Random(lane);
  let sent = 0;
  for (;;) {
    await delay(Math.max(pauseMs, REST_MS.before + REST_MS.after - ((clock() + REST_MS.before) % ROUND_MS)));
    if (clock() > end) return sent;
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
  readonly end: number;
}

/** Memory, open files and write-ahead logs of each daemon, for as long as bundles come. */
export const soak: ChaosCase = {
  name: 'soak',
  about: 'mixed bundles at loss for 30 minutes (--minutes): memory at most 1 MiB an hour, open files and WAL constant',
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
    const end = minutes * 60_000;
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
    const watch = async (everyMs: number, look: (daemon: (typeof all)[number], x: number) => void): Promise<void> => {
      while (clock() < end + REST_MS.after) {
        for (const daemon of all) look(daemon, clock() / HOUR_MS);
        await delay(everyMs);
      }
    };
    const work = async (): Promise<void> => {
      const warming = { pauseMs: 0, clock, end: end * (1 - FITTED) };
      const lanes = Array.from({ length: WARMING_LANES }, (_, lane) =>
        traffic(rig, 1 + lane, { ...warming, sizeOf: lane === 0 ? uniform : ofAllMagnitudes }),
      );
      figures['bundles while it warms up'] = (await Promise.all(lanes)).reduce((a, b) => a + b, 0);
      figures.bundles = await traffic(rig, 0, { pauseMs: PAUSE_MS, sizeOf: ofAllMagnitudes, clock, end });
    };
    await Promise.all([
      work(),
      watch(MEMORY_MS, ({ pid, curves }, x) => curves.memory.push({ x, y: residentBytes(pid) / MIB })),
      watch(FILES_MS, ({ pid, wal, curves }, x) => {
        curves.files.push({ x, y: openFiles(pid) });
        if (wal !== undefined) curves.log.push({ x, y: fileBytes(wal) });
      }),
    ]);
    figures.minutes = minutes;
    mustEqual(rig.world.linkPid(), daemons.link[0], 'process of link');
    const faults = all.flatMap(({ name, curves }) => judged(name, curves, minutes, figures));
    must(faults.length === 0, faults.join('; '));
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

const words = ({ slope, error }: ReturnType<typeof lineThrough>): string => `${slope.toFixed(2)} ±${error.toFixed(2)}`;

/** What of one daemon is not constant. */
function judged(name: string, curves: Curves, minutes: number, figures: Figures): string[] {
  const from = (minutes / 60) * (1 - FITTED);
  const least = leasts(curves.memory, from);
  const memory = lineThrough(least);
  const files = lineThrough(leasts(curves.files, from));
  const log = Math.max(0, ...curves.log.map(({ y }) => y));
  const enough = minutes / 60 - from >= FITTED_LEAST_HOURS;
  figures[name] =
    `${enough ? '' : '(not judged) '}${least.map(({ y }) => y.toFixed(1)).join(' ')} MiB ${words(memory)} an hour, ` +
    `files ${words(files)} an hour, WAL at most ${String(Math.round(log / 1024))} KiB`;
  return [
    ...(enough && grows(memory, RSS_MIB_PER_HOUR) ? [`memory of ${name} grows by ${words(memory)} MiB an hour`] : []),
    ...(enough && grows(files, FILES_PER_HOUR) ? [`open files of ${name} grow by ${words(files)} an hour`] : []),
    ...(log > WAL_BYTES ? [`the write-ahead log of ${name} has ${String(log)} bytes`] : []),
  ];
}
