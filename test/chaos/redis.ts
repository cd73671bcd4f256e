import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../world/processes.ts';
import { type ChaosCase, mustEqual } from './case.ts';
import { MIB } from './content.ts';
import { Rig } from './rig.ts';

const LAYERS = [64 * MIB, 64 * MIB, 32 * MIB];
const DEADLINE_MS = 180_000;

interface Story {
  readonly events: readonly { readonly kind: string }[];
}

/** Redis loses everything, and ends and comes back, each in the middle of an import. */
export const redis: ChaosCase = {
  name: 'redis',
  about: 'FLUSHALL, a restart and a restart without its data in mid-import: nothing lost, nothing imported twice',
  run: async (figures) => {
    await using rig = await Rig.create({ name: 'redis', lossPercent: 1 });
    const { world } = rig;
    await rig.startAll();
    const cli = (...words: string[]): string =>
      rig.diode.exec('isolated', ['redis-cli', '-p', String(world.ports.redis), ...words]).trim();
    const restart = async (lose: boolean): Promise<void> => {
      await world.program('redis').stop(lose ? 'SIGKILL' : 'SIGTERM');
      const place = join(rig.dir, 'redis');
      if (lose) rmSync(place, { recursive: true });
      mkdirSync(place, { recursive: true });
      world.startRedis();
    };
    const troubles: readonly (readonly [what: string, act: () => Promise<unknown>])[] = [
      ['FLUSHALL', () => Promise.resolve(cli('FLUSHALL'))],
      ['restart', () => restart(false)],
      ['restart without data', () => restart(true)],
    ];
    const bundles: { readonly bundle: string; readonly sequence: number; readonly tag: string }[] = [];
    for (const [at, [what, act]] of troubles.entries()) {
      const tag = String(at + 1);
      const { image, ...names } = rig.submitImage('queued', tag, LAYERS);
      const stop = await until('an import to be under way', DEADLINE_MS, async () => {
        const status = await world.get<{ active: { stop: string }[] }>('importer', '/v1/status');
        return status?.active.find((each) => each.stop === 'blob' || each.stop === 'artifact')?.stop;
      });
      await act();
      figures[what] = `while at ${stop}`;
      await world.bundle(names.sequence, ['imported'], DEADLINE_MS);
      rig.mustHave(image, 'queued', tag);
      bundles.push({ ...names, tag });
    }
    await until('the outbox to be empty', 30_000, async () => {
      const status = await world.get<{ outbox: { waiting: number } }>('receiver', '/v1/status');
      return status?.outbox.waiting === 0 || undefined;
    });
    for (const { bundle, sequence, tag } of bundles) {
      const story = await world.get<Story>('receiver', `/v1/bundles/${bundle}`);
      const imported = story?.events.filter(({ kind }) => kind === 'imported').length;
      mustEqual(imported, 1, `times that the ledger says of bundle ${String(sequence)} that it was imported`);
      mustEqual(rig.timesNamed('library/queued', tag), 1, `times that tag ${tag} was set in Harbor`);
    }
    Object.assign(figures, { bundles: bundles.length, imported: bundles.length, 'imported twice': 0 });
  },
};
