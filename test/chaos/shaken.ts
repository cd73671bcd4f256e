import { join } from 'node:path';
import { CLEAN, Pair } from '../../packages/testkit/src/index.ts';
import { Random } from '../../packages/testkit/src/random.ts';
import { ISOLATED_ADDRESS } from '../rig/diode.ts';
import { NODE_RELAY, Program } from '../world/processes.ts';
import { type ChaosCase, type Figures, must } from './case.ts';
import { MIB } from './content.ts';
import { Rig } from './rig.ts';

const SEEDS = 100;
/** Every so many seeds send 256 MiB; the others less, on a logarithmic scale down to 1 byte. */
const LARGE_EVERY = 10;
const LARGEST = 256 * MIB;
const RATES = [100e6, 300e6, 1e9] as const;
const SHAKEN = {
  ...CLEAN,
  duplicate: 0.05,
  reorder: 0.05,
  reorderDistance: 1000,
  outageEveryNs: 1e9,
  outageNs: 20e6,
};
/** Seeds on the rig, and the sizes of each. */
const RIG_SEEDS = [1, 2, 3];
const RIG_BYTES = [1, 1408, 100_000, 3 * MIB, 40 * MIB, LARGEST];
const RIG_RATE = 200e6;
/** Datagrams, of 1518 bytes on the fibre, in 20 ms at this rate. */
const OUTAGE = Math.round((RIG_RATE / 8 / 1518) * 0.02);
const RELAY_PORT = 4400;
const DEADLINE_MS = 180_000;

/** Sizes of the objects of one bundle. */
function sizesOf(seed: number, random: Random): readonly number[] {
  if (seed % LARGE_EVERY === 0) return [LARGEST];
  // Every third is smaller than one interleaving group, whatever the rate.
  const most = seed % 3 === 0 ? 64 * 1024 : 32 * MIB;
  const size = (): number => Math.max(1, Math.floor(most ** random.unit()));
  return [1, ...Array.from({ length: 1 + random.below(4) }, size)];
}

/** The machines of both sides in this process, on virtual time: first passes only. */
export function runSeeds(seeds: number, figures: Figures): void {
  const incomplete: number[] = [];
  let bytes = 0;
  let datagrams = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    const random = new Random(seed);
    const rate = RATES[random.below(RATES.length)] ?? 1e9;
    const pair = new Pair({ seed, faults: SHAKEN, rate, groupBytes: 64 * MIB });
    // The outages fall elsewhere in each.
    pair.now += random.below(1e9);
    const sizes = sizesOf(seed, random);
    const order = pair.order(sizes);
    pair.sender.submit(order);
    pair.run();
    if (!pair.arrived(order)) incomplete.push(seed);
    bytes += sizes.reduce((sum, size) => sum + size, 0);
    datagrams += pair.link.counts.sent;
  }
  figures['first passes complete, in process'] = `${String(seeds - incomplete.length)} of ${String(seeds)} seeds`;
  figures['MiB in process'] = Math.round(bytes / MIB);
  figures['datagrams in process'] = datagrams;
  must(incomplete.length === 0, `seeds whose first pass was not complete: ${incomplete.join(', ')}`);
}

async function runRig(figures: Figures): Promise<void> {
  await using rig = await Rig.create({
    name: 'shaken',
    tune: ({ sender }) => {
      Object.assign(sender.link, { host: '127.0.0.1', port: RELAY_PORT, rate: `${String(RIG_RATE / 1e6)}Mbit/s` });
      Object.assign(sender.carousel, { passes: 1, gap: '1h', topUps: 0 });
    },
  });
  await rig.startAll();
  let complete = 0;
  for (const seed of RIG_SEEDS) {
    const dark = ['--dark', '20', '--dark-every', '1000', '--dark-most', String(OUTAGE)];
    const faults = [...dark, '--duplicate', '0.05', '--reorder', '0.05', '--distance', '1000'];
    const to = ['--listen', String(RELAY_PORT), '--host', ISOLATED_ADDRESS, '--to', '4433', '--seed', String(seed)];
    const argv = rig.diode.on('sender', [...NODE_RELAY, ...to, ...faults]);
    const relay = new Program('relay', argv, join(rig.dir, 'logs', `relay-${String(seed)}.log`));
    await relay.line(/relay ready/);
    for (const bytes of seed === RIG_SEEDS[0] ? RIG_BYTES : RIG_BYTES.slice(0, -1)) {
      const name = `${String(seed)}-${String(bytes)}.bin`;
      const { sequence } = rig.submitFile(name, bytes);
      await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
      must(rig.delivered(name), `${name} was not delivered as it was`);
      complete += 1;
    }
    await relay.stop();
    const counts = JSON.parse(relay.output().trim().split('\n').at(-1) ?? '{}') as Record<string, number>;
    figures[`relay, seed ${String(seed)}`] =
      `${String(counts.dark)} in the dark, ${String(counts.duplicated)} doubled, ${String(counts.reordered)} reordered`;
  }
  figures['first passes complete, on the rig'] = `${String(complete)} of ${String(complete)}`;
}

export const shaken: ChaosCase = {
  name: 'shaken',
  about: '20 ms dark in every second, 5 % twice, reordered over 1,000: first passes complete, from 1 byte to 256 MiB',
  run: async (figures) => {
    runSeeds(SEEDS, figures);
    await runRig(figures);
  },
};
