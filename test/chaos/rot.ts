import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../world/processes.ts';
import { type ChaosCase, must } from './case.ts';
import { fileDigest, MIB } from './content.ts';
import { flipBit } from './disk.ts';
import { Rig } from './rig.ts';

const BYTES = 48 * MIB;
const DEADLINE_MS = 90_000;
/** Full passes come again for as long as a case lasts. */
const CAROUSEL = { passes: 50, gap: '3s' };

/** The file of an object under way that has grown beyond this. */
const growing = (rig: Rig, bytes: number): Promise<string> =>
  until('a file of the spool to have grown', DEADLINE_MS, () => {
    const place = join(rig.dir, 'spool/prod');
    const name = readdirSync(place).find((each) => each.endsWith('.blob.part'));
    const path = join(place, name ?? '');
    return name !== undefined && statSync(path).blocks * 512 > bytes ? path : undefined;
  });

export const spoolRot: ChaosCase = {
  name: 'spool-rot',
  about: 'bits of what is gathered turn over on the disk: found, gathered anew, and nothing of it published',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'sprot',
      lossPercent: 1,
      tune: ({ sender }) => {
        sender.link.rate = '100Mbit/s';
        sender.carousel = CAROUSEL;
      },
    });
    await rig.startAll();
    const { sequence } = rig.submitFile('rotten.bin', BYTES);
    const path = await growing(rig, 16 * MIB);
    for (const offset of [1000, 2 * MIB, 5 * MIB]) flipBit(path, offset);
    // What was hashed behind the writes is not read again here: then it is the importer that finds it.
    const found = /is not what its digest says|store-digest-mismatch|"code":"digest-mismatch"/;
    [figures['found as']] = await rig.world.program('receiver').line(found, DEADLINE_MS);
    must(!existsSync(join(rig.dir, 'files/rotten.bin')), 'it was delivered with bits turned over');
    await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
    must(rig.delivered('rotten.bin'), 'it was not delivered as it was');
    Object.assign(figures, { 'bits turned over': 3, 'found, gathered anew, imported as it was': true });
  },
};

export const storeRot: ChaosCase = {
  name: 'store-rot',
  about: 'a bit of a published blob turns over before its import: found, named, fetched again by the carousel',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'strot',
      lossPercent: 1,
      tune: ({ sender }) => {
        sender.carousel = CAROUSEL;
      },
    });
    const { world } = rig;
    await rig.startAll();
    await world.program('importer').stop();
    const { sequence } = rig.submitFile('kept.bin', BYTES);
    await world.bundle(sequence, ['queued'], DEADLINE_MS);
    const stored = rig.stored('kept.bin');
    flipBit(stored, 7 * MIB);
    must(fileDigest(stored) !== fileDigest(join(rig.dir, 'input/kept.bin')), 'no bit was turned over');
    await world.start('importer');
    const damaged = (status: string): boolean => status !== 'pass';
    figures['/healthz'] = await rig.check('receiver', '/healthz', 'store:damaged', damaged, DEADLINE_MS);
    must(!rig.delivered('kept.bin'), 'it was delivered with a bit turned over');
    await world.bundle(sequence, ['imported'], DEADLINE_MS);
    must(rig.delivered('kept.bin'), 'it was not delivered as it was');
    await rig.check('receiver', '/healthz', 'store:damaged', (status) => status === 'pass');
    figures['fetched again, imported as it was'] = true;
  },
};
