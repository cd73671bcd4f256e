import { randomInt } from 'node:crypto';
import { until } from '../world/processes.ts';
import { type ChaosCase, must, mustEqual, type Figures } from './case.ts';
import { MIB } from './content.ts';
import { Rig } from './rig.ts';

const BYTES = 48 * MIB;
/** Long enough for all restarts to come while its first pass is on air. */
const RESTARTED_BYTES = 320 * MIB;
const RESTARTS = 5;
const DEADLINE_MS = 120_000;

/** Source symbols that the sender has sent since it started. */
async function sourceSymbols(rig: Rig): Promise<number> {
  type Sent = { readonly transmit?: { readonly counters: { readonly sourceSymbols: number } } };
  return (await rig.world.get<Sent>('sender', '/v1/status'))?.transmit?.counters.sourceSymbols ?? 0;
}

/** The bundle is imported once the pass after the present one is over, and not a pass later. */
async function imported(rig: Rig, sequence: number, name: string, most: number): Promise<void> {
  await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
  must(rig.delivered(name), `${name} was not delivered as it was`);
  const done = await passesOf(rig, sequence);
  must(done <= most, `${name} took ${String(done)} passes, not ${String(most)}`);
}

async function passesOf(rig: Rig, sequence: number): Promise<number> {
  const page = await rig.world.get<{ items: { sequence: number; passesDone: number }[] }>('sender', '/v1/bundles');
  return page?.items.find((each) => each.sequence === sequence)?.passesDone ?? 0;
}

async function wholePass(rig: Rig, figures: Figures): Promise<void> {
  await rig.world.program('receiver').stop();
  const { sequence } = rig.submitFile('whole-pass.bin', BYTES);
  await rig.passesLeft(1);
  await rig.world.start('receiver');
  const named = await rig.world
    .program('receiver')
    .line(new RegExp(`"sequence":${String(sequence)},.*a bundle is missing`));
  must(named.length > 0, 'the bundle was not named as missing');
  await imported(rig, sequence, 'whole-pass.bin', 2);
  figures['off for the whole first pass'] = 'named as missing, then complete after the second';
}

async function inTheMiddle(rig: Rig, figures: Figures): Promise<void> {
  const { world } = rig;
  const { sequence } = rig.submitFile('middle.bin', BYTES);
  await rig.spooled(8 * MIB);
  await world.program('receiver').stop();
  const from = await sourceSymbols(rig);
  await until('a quarter of the pass to leave', DEADLINE_MS, async () =>
    (await sourceSymbols(rig)) > from + BYTES / 1408 / 4 ? true : undefined,
  );
  await world.start('receiver');
  await imported(rig, sequence, 'middle.bin', 2);
  figures['off in the middle'] = 'complete after the second';
}

async function restarted(rig: Rig, figures: Figures): Promise<void> {
  const { world } = rig;
  const { sequence } = rig.submitFile('restarted.bin', RESTARTED_BYTES);
  for (let at = 0; at < RESTARTS; at += 1) {
    const from = await rig.number('spoolBytes');
    await until('more of it in the spool', DEADLINE_MS, async () =>
      (await rig.number('spoolBytes')) > from + randomInt(2, 5) * MIB ? true : undefined,
    );
    await world.program('receiver').stop(at % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await world.start('receiver');
  }
  must((await passesOf(rig, sequence)) === 0, 'the first pass was over before the last restart');
  await imported(rig, sequence, 'restarted.bin', 2);
  figures['restarted five times'] = 'complete after the second';
}

/** The receiver is not there when it matters. */
export const late: ChaosCase = {
  name: 'late',
  about: 'receiver off for the whole first pass, off in the middle, restarted five times: complete after the next pass',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'late',
      lossPercent: 1,
      tune: ({ sender }) => {
        sender.link.rate = '100Mbit/s';
        Object.assign(sender.carousel, { passes: 2, gap: '4s', topUps: 0 });
      },
    });
    await rig.startAll();
    for (const part of [wholePass, inTheMiddle, restarted]) await part(rig, figures);
    mustEqual((await rig.status())?.channels[0]?.missing, [], 'missing bundles');
  },
};
