import { realMs } from './kernel.ts';
import { runWorld } from './rest.ts';
import { registerThreads } from './threads.ts';
import type { Summary } from './parallel.ts';

export interface ManyOptions {
  readonly seeds: number;
  readonly from: number;
  readonly json: boolean;
  /** Ends with the first world that breaks a rule. */
  readonly untilFound: boolean;
}

/** Worlds of which a line says what they broke. */
const SHOWN = 20;

/** Replays the world of a seed and prints all that happens in it. The exit status. */
export async function tellStory(seed: number): Promise<number> {
  registerThreads();
  const { story, violations, virtualSeconds, events } = await runWorld(seed);
  for (const line of story) console.log(line);
  const took = `${virtualSeconds.toFixed(0)} s of virtual time, ${String(events)} events`;
  console.log(`${took}, ${String(violations.length)} violations`);
  for (const { rule, detail } of violations) console.log(`VIOLATION ${rule}: ${detail}`);
  return violations.length === 0 ? 0 : 1;
}

/** Runs the worlds of many seeds, one after the other. The exit status. */
export async function runMany({ seeds, from, json, untilFound }: ManyOptions): Promise<number> {
  registerThreads();
  // Errors are made by the thousand, and what a stack says is told by the story of the one seed.
  Error.stackTraceLimit = 0;
  const began = realMs();
  const faults: Record<string, number> = {};
  let [worlds, violations, shown] = [0, 0, 0];
  let first: Summary['first'];
  for (let seed = from; seed < from + seeds; seed += 1) {
    const outcome = await runWorld(seed);
    worlds += 1;
    for (const [name, n] of Object.entries(outcome.faults)) faults[name] = (faults[name] ?? 0) + n;
    violations += outcome.violations.length;
    const [broken] = outcome.violations;
    if (broken === undefined) continue;
    shown += 1;
    first ??= { seed, ...broken };
    if (shown <= SHOWN) console.error(`seed ${String(seed)}: ${broken.rule}: ${broken.detail}`);
    if (untilFound) break;
  }
  const seconds = Math.round((realMs() - began) / 100) / 10;
  if (json)
    console.log(JSON.stringify({ worlds, violations, faults, seconds, ...(first === undefined ? {} : { first }) }));
  else console.log(`${String(worlds)} worlds, ${String(violations)} violations, ${String(seconds)} s`);
  return violations === 0 ? 0 : 1;
}
