import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../world/processes.ts';
import { type ChaosCase, must, mustEqual, type Figures } from './case.ts';
import { MIB } from './content.ts';
import { SmallDisk } from './disk.ts';
import { Rig } from './rig.ts';

const BYTES = 48 * MIB;
/** More than the memory in which the chunk log lets datagrams wait. */
const UNLOGGED_BYTES = 112 * MIB;
const DISK_BYTES = 256 * MIB;
const LEFT = 8 * MIB;
const DEADLINE_MS = 90_000;
/** Full passes come again for as long as a case lasts. */
const CAROUSEL = { passes: 50, gap: '2s' };

/** Fails for `what` in /readyz while it lasts, passes when it is over; gives the words. */
export async function namedState(rig: Rig, what: string, code: string): Promise<string> {
  return rig.check('receiver', '/readyz', what, (status, output) => status !== 'pass' && output.includes(code));
}

export const wellAgain = (rig: Rig, what: string): Promise<string> =>
  rig.check('receiver', '/readyz', what, (status) => status === 'pass');

/** One bundle comes while a disk is full; then there is room. */
async function full(
  rig: Rig,
  disk: SmallDisk,
  figures: Figures,
  state: { readonly check: string; readonly code: string; readonly meanwhile?: (sequence: number) => Promise<void> },
): Promise<void> {
  disk.fill(LEFT);
  const { sequence } = rig.submitFile('full.bin', BYTES);
  figures['/readyz while full'] = await namedState(rig, state.check, state.code);
  must(!rig.delivered('full.bin'), 'it was delivered from a full disk');
  disk.empty();
  const mended = performance.now();
  await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
  must(rig.delivered('full.bin'), 'it was not delivered as it was');
  figures['seconds from room to imported'] = Math.round((performance.now() - mended) / 1000);
  await wellAgain(rig, state.check);
}

export const spoolFull: ChaosCase = {
  name: 'spool-full',
  about: 'the disk of the spool is full: named in /readyz, and complete with the pass after there is room',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'spfull',
      lossPercent: 1,
      tune: ({ sender }) => void (sender.carousel = CAROUSEL),
    });
    using disk = new SmallDisk(join(rig.dir, 'spool'), DISK_BYTES);
    await rig.startAll();
    await full(rig, disk, figures, { check: 'link:spool', code: 'spool-full' });
    await rig.stopped();
  },
};

export const storeFull: ChaosCase = {
  name: 'store-full',
  about: 'the disk of the store is full: named in /readyz, published by itself once there is room',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'stfull',
      lossPercent: 1,
      tune: ({ sender }) => void (sender.carousel = CAROUSEL),
    });
    using disk = new SmallDisk(join(rig.dir, 'store'), DISK_BYTES);
    await rig.startAll();
    await full(rig, disk, figures, { check: 'bundles:held', code: 'store-full' });
    await rig.stopped();
  },
};

export const chunkLogFull: ChaosCase = {
  name: 'chunk-log-full',
  about: 'the disk of the chunk logs is full: named in /readyz, and nothing of it stops reception',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'clfull',
      lossPercent: 1,
      tune: ({ sender, link }) => {
        // Two passes fit on the disk once it is empty: more would fill it again before anybody could see that the log goes on.
        sender.carousel = { ...CAROUSEL, passes: 2 };
        Object.assign(link.chunkLog, { mode: 'full', fileBytes: '16MiB' });
      },
    });
    mkdirSync(join(rig.dir, 'chunks'));
    using disk = new SmallDisk(join(rig.dir, 'chunks'), DISK_BYTES);
    await rig.startAll();
    disk.fill(LEFT);
    const { sequence } = rig.submitFile('unlogged.bin', UNLOGGED_BYTES);
    figures['/readyz while full'] = await namedState(rig, 'link:chunk-log', 'chunk-log-full');
    mustEqual((await rig.health('receiver', '/readyz'))?.status, 'warn', 'readiness while the log is full');
    await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
    must(rig.delivered('unlogged.bin'), 'it was not delivered as it was');
    figures['datagrams not logged'] = await rig.number('chunkLogDropped');
    must((await rig.number('chunkLogDropped')) > 0, 'nothing was left out of the log');
    disk.empty();
    await wellAgain(rig, 'link:chunk-log');
    const written = await rig.number('chunkLogWritten');
    await until(
      'the log to go on',
      DEADLINE_MS,
      async () => (await rig.number('chunkLogWritten')) > written || undefined,
    );
    figures['goes on by itself'] = true;
    await rig.stopped();
  },
};
