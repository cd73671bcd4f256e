// `pnpm sim`: runs the daemons in simulated worlds, as docs/SIMULATION.md says.
import { parseArgs } from 'node:util';
import { installHooks } from './hooks.ts';
import { runPlants, runShared } from './parallel.ts';
import { plantOf } from './plants.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    plant: { type: 'string' },
    plants: { type: 'boolean', default: false },
    /** In this process, without helpers. */
    alone: { type: 'boolean', default: false },
  },
});
const numbers = { seeds: Number(values.seeds), from: Number(values.from), json: values.json };

async function here(): Promise<number> {
  installHooks(values.plant === undefined ? undefined : plantOf(values.plant));
  // Loaded after the hooks, and with it all that runs in the worlds.
  const { runMany, tellStory } = await import('./run.ts');
  if (values.seed !== undefined) return tellStory(Number(values.seed));
  return runMany({ ...numbers, untilFound: values.plant !== undefined });
}

if (values.plants) process.exitCode = await runPlants(numbers);
else if (values.alone || values.seed !== undefined || values.plant !== undefined) process.exitCode = await here();
else process.exitCode = await runShared(numbers);
