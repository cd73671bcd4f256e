import { realMs } from './kernel.ts';
import { runWorld } from './rest.ts';
import { registerThreads } from './threads.ts';
import type { Outcome } from './world.ts';

export interface SimOptions {
  readonly seed?: string | undefined;
  readonly seeds?: string | undefined;
  readonly from: string;
  readonly json: boolean;
  readonly plant?: string | undefined;
  readonly plants: boolean;
}

const DEFAULT_SEEDS = 2000;
const VIOLATIONS_SHOWN = 60;

/** What `pnpm sim` does; its exit status. */
export async function runSim(options: SimOptions): Promise<number> {
  registerThreads();
  if (options.seed !== undefined) return tellStory(await runWorld(Number(options.seed)));
  const first = Number(options.from);
  const count = Number(options.seeds ?? DEFAULT_SEEDS);
  return runMany(first, count, options);
}

function tellStory({ story, violations, virtualSeconds, events }: Outcome): number {
  for (const line of story) console.log(line);
  console.log(
    `${virtualSeconds.toFixed(0)} s of virtual time, ${String(events)} events, ${String(violations.length)} violations`,
  );
  for (const { rule, detail } of violations) console.log(`VIOLATION ${rule}: ${detail}`);
  return violations.length === 0 ? 0 : 1;
}

async function runMany(first: number, count: number, { json, plant }: SimOptions): Promise<number> {
  const began = realMs();
  const faults: Record<string, number> = {};
  let [worlds, violations, shown] = [0, 0, 0];
  for (let seed = first; seed < first + count; seed += 1) {
    const outcome = await runWorld(seed);
    worlds += 1;
    for (const [name, n] of Object.entries(outcome.faults)) faults[name] = (faults[name] ?? 0) + n;
    violations += outcome.violations.length;
    for (const { rule, detail } of outcome.violations.slice(0, 1)) {
      shown += 1;
      if (shown <= VIOLATIONS_SHOWN) console.error(`seed ${String(seed)}: ${rule}: ${detail}`);
    }
    // A planted bug is looked for until it is found.
    if (plant !== undefined && violations > 0) break;
  }
  const seconds = Math.round((realMs() - began) / 100) / 10;
  if (json) console.log(JSON.stringify({ worlds, violations, faults, seconds }));
  else console.log(`${String(worlds)} worlds, ${String(violations)} violations, ${String(seconds)} s`);
  return violations === 0 ? 0 : 1;
}
