// `pnpm sim`: runs the daemons in simulated worlds, as docs/SIMULATION.md says.
import { parseArgs } from 'node:util';
import { installHooks } from './hooks.ts';
import { plantOf } from './plants.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    plant: { type: 'string' },
    plants: { type: 'boolean', default: false },
  },
});

installHooks(values.plant === undefined ? undefined : plantOf(values.plant));
// Loaded after the hooks, and with it all that runs in the worlds.
const { runSim } = await import('./run.ts');
process.exitCode = await runSim(values);
