import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../packages/testkit/src/random.ts';
import { type ChaosCase, must, mustEqual } from './case.ts';
import { MIB } from './content.ts';
import { grows, lineThrough, type Point } from './line.ts';
import { fileBytes, openFiles, residentBytes } from './procfs.ts';
import { Rig } from './rig.ts';

const SAMPLE_MS = 1000;
/** Between bundles. */
const PAUSE_MS = 700;
const LARGEST = 24 * MIB;
const DEADLINE_MS = 120_000;
/** Of the whole time, the part that a line is fitted to: the rest is warming up. */
const FITTED = 2 / 3;
const RSS_MIB_PER_HOUR = 1;
const FILES_PER_HOUR = 1;
/** SQLite starts a write-ahead log over at 1,000 pages of 4 KiB; one that grows beyond is never started over. */
const WAL_BYTES = 8 * MIB;
/**
 * Memory and files are looked at as the least of each stretch: what a bundle that is under way takes comes and goes by tens of MiB, what stays shows in every
 * stretch. Garbage is collected every two minutes. These scatter by a MiB, so that ten of them tell a slope to within some 3 MiB an hour: what grows by more
 * than that is found in half an hour, what grows by 1 in two hours (--minutes 120).
 */
const STRETCH_HOURS = 1 / 30;
/** A line through less time than this says nothing: what is shorter is printed and not judged. */
const FITTED_LEAST_HOURS = 1 / 6;

interface Sample {
  /** Hours since the beginning. */
  readonly at: number;
  readonly rss: number;
  readonly files: number;
  readonly wal: number;
}

/** Bundles of all sizes, files and images, for minutes; what is delivered is looked at and removed. */
async function traffic(rig: Rig, isOver: () => boolean): Promise<number> {
  const random = new Random(9);
  let sent = 0;
  while (!isOver()) {
    const name = `soak-${String(sent)}`;
    const bytes = Math.max(1, Math.floor(LARGEST ** random.unit()));
    const isImage = random.chance(0.25);
    const { sequence } = isImage ? rig.submitImage('soak', String(sent), [bytes, 1000]) : rig.submitFile(name, bytes);
    await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
    if (!isImage) must(rig.delivered(name), `${name} was not delivered as it was`);
    for (const place of ['files', 'input']) {
      for (const each of readdirSync(join(rig.dir, place))) rmSync(join(rig.dir, place, each), { recursive: true });
    }
    sent += 1;
    await delay(PAUSE_MS);
  }
  return sent;
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
    await rig.startAll();
    const daemons = {
      sender: [rig.world.program('sender').pid, 'sender'],
      link: [rig.world.linkPid(), undefined],
      receiver: [rig.world.program('receiver').pid, 'receiver'],
      importer: [rig.world.program('importer').pid, 'importer'],
    } as const;
    const samples = new Map(Object.keys(daemons).map((name) => [name, [] as Sample[]]));
    const started = performance.now();
    const isOver = (): boolean => performance.now() - started > minutes * 60_000;
    const watch = async (): Promise<void> => {
      while (!isOver()) {
        for (const [name, [pid, place]] of Object.entries(daemons)) {
          const at = (performance.now() - started) / 3_600_000;
          const wal = place === undefined ? 0 : fileBytes(join(rig.dir, place, 'ledger.sqlite-wal'));
          samples.get(name)?.push({ at, rss: residentBytes(pid), files: openFiles(pid), wal });
        }
        await delay(SAMPLE_MS);
      }
    };
    const [bundles] = await Promise.all([traffic(rig, isOver), watch()]);
    figures.bundles = bundles;
    figures.minutes = minutes;
    mustEqual(rig.world.linkPid(), daemons.link[0], 'process of link');
    const faults: string[] = [];
    for (const [name, all] of samples) faults.push(...judged(name, all, figures));
    must(faults.length === 0, faults.join('; '));
  },
};

/** The least of each stretch; one that was cut short at either end has too few samples to have met it. */
function leasts(samples: readonly Sample[], what: (sample: Sample) => number): Point[] {
  const stretches = Map.groupBy(samples, ({ at }) => Math.floor(at / STRETCH_HOURS));
  const whole = Math.max(...[...stretches.values()].map(({ length }) => length));
  const enough = [...stretches].filter(([, { length }]) => length > whole / 2);
  return enough.map(([x, all]) => ({ x: x * STRETCH_HOURS, y: Math.min(...all.map(what)) }));
}

const words = ({ slope, error }: ReturnType<typeof lineThrough>): string => `${slope.toFixed(2)} ±${error.toFixed(2)}`;

/** What of one daemon is not constant. */
function judged(name: string, all: readonly Sample[], figures: Record<string, string | number | boolean>): string[] {
  const from = Math.floor(all.length * (1 - FITTED));
  const fitted = all.slice(from);
  const rss = lineThrough(leasts(fitted, (each) => each.rss / MIB));
  const files = lineThrough(leasts(fitted, (each) => each.files));
  const wal = Math.max(...all.map((each) => each.wal));
  const middle = fitted[fitted.length >> 1];
  const enough = (fitted.at(-1)?.at ?? 0) - (fitted[0]?.at ?? 0) >= FITTED_LEAST_HOURS;
  figures[name] =
    `${enough ? '' : '(not judged) '}${String(Math.round((middle?.rss ?? 0) / MIB))} MiB ${words(rss)} an hour, ` +
    `${String(middle?.files ?? 0)} files ${words(files)} an hour, WAL at most ${String(Math.round(wal / 1024))} KiB`;
  return [
    ...(enough && grows(rss, RSS_MIB_PER_HOUR) ? [`memory of ${name} grows by ${words(rss)} MiB an hour`] : []),
    ...(enough && grows(files, FILES_PER_HOUR) ? [`open files of ${name} grow by ${words(files)} an hour`] : []),
    ...(wal > WAL_BYTES ? [`the write-ahead log of ${name} has ${String(wal)} bytes`] : []),
  ];
}
