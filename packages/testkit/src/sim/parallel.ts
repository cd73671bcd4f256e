import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { PLANTS } from './plants.ts';

/** What many worlds gave. */
export interface Summary {
  readonly worlds: number;
  readonly violations: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** The first world that broke a rule. */
  readonly first?: { readonly seed: number; readonly rule: string; readonly detail: string } | undefined;
}

export interface SharedOptions {
  readonly seeds: number;
  readonly from: number;
  readonly json: boolean;
}

const MAIN = join(import.meta.dirname, 'main.ts');
/** What a world makes lives as long as the world: a larger nursery saves most of the collector's work. */
const NODE_OPTIONS = ['--max-semi-space-size=64'];
/** Worlds that one process runs before another takes its place: what it has loaded and kept goes with it. */
const SHARE = 250;

/** Runs this program once more, to its end. */
function child(args: readonly string[], quiet: boolean): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [...NODE_OPTIONS, MAIN, ...args, '--json'], {
      stdio: ['ignore', 'pipe', quiet ? 'ignore' : 'inherit'],
    });
    let said = '';
    running.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
    running.once('error', reject);
    running.once('close', (code) => {
      if (said === '') reject(new Error(`the worlds of ${args.join(' ')} ended with ${String(code)} and no answer`));
      else resolve(JSON.parse(said) as Summary);
    });
  });
}

/** Does tasks, as many at once as there are processors. */
async function share<T, R>(tasks: readonly T[], run: (task: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = tasks.entries();
  const work = async (): Promise<void> => {
    for (const [i, task] of waiting) results[i] = await run(task);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return results;
}

/** Runs the worlds of many seeds in several processes. The exit status. */
export async function runShared({ seeds, from, json }: SharedOptions): Promise<number> {
  const began = performance.now();
  const starts = Array.from({ length: Math.ceil(seeds / SHARE) }, (_, i) => i * SHARE);
  const parts = await share(starts, (start) =>
    child(['--alone', '--from', String(from + start), '--seeds', String(Math.min(SHARE, seeds - start))], false),
  );
  const faults: Record<string, number> = {};
  for (const part of parts) for (const [name, n] of Object.entries(part.faults)) faults[name] = (faults[name] ?? 0) + n;
  const sum = (of: (part: Summary) => number): number => parts.reduce((total, part) => total + of(part), 0);
  const [worlds, violations] = [sum((part) => part.worlds), sum((part) => part.violations)];
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  if (json) console.log(JSON.stringify({ worlds, violations, faults, seconds }));
  else console.log(`${String(worlds)} worlds, ${String(violations)} violations, ${String(seconds)} s`);
  return violations === 0 ? 0 : 1;
}

/** Runs each planted bug until a world finds it. The exit status. */
export async function runPlants({ seeds, from, json }: SharedOptions): Promise<number> {
  const summaries = await share(PLANTS, ({ name }) =>
    child(['--plant', name, '--from', String(from), '--seeds', String(seeds)], true),
  );
  const names: Record<string, { readonly seed: number; readonly rule: string } | null> = {};
  PLANTS.forEach(({ name }, i) => {
    const first = summaries[i]?.first;
    names[name] = first === undefined ? null : { seed: first.seed, rule: first.rule };
    if (!json)
      console.log(`${name}: ${first === undefined ? 'NOT FOUND' : `seed ${String(first.seed)}, ${first.rule}`}`);
  });
  const found = Object.values(names).filter((each) => each !== null).length;
  if (json) console.log(JSON.stringify({ planted: PLANTS.length, found, names }));
  return found === PLANTS.length ? 0 : 1;
}
