// `pnpm test:chaos [--only NAME] [--minutes N] [--json]`: the pair as it is, hurt by force, on a diode of two network namespaces.
// One line for each case with its figures; the last line is `N passed, N failed`. Needs root.
import { parseArgs } from 'node:util';
import { diodeMissing } from '../rig/diode.ts';
import { missing } from '../harbor/needs.ts';
import type { ChaosCase, Figures } from './case.ts';
import { CASES } from './cases.ts';

const SOAK_MINUTES = 30;

interface Outcome {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly figures: Figures;
  readonly error?: string;
}

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== '--'),
  options: {
    only: { type: 'string', multiple: true },
    minutes: { type: 'string', default: String(SOAK_MINUTES) },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

async function run({ name, run: act }: ChaosCase): Promise<Outcome> {
  const started = performance.now();
  const figures: Figures = {};
  const seconds = (): number => Math.round((performance.now() - started) / 100) / 10;
  try {
    await act(figures, { minutes: Number(values.minutes) });
    return { name, passed: true, seconds: seconds(), figures };
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { name, passed: false, seconds: seconds(), figures, error: text };
  }
}

function tell({ name, passed, seconds, figures, error }: Outcome): void {
  const found = Object.entries(figures).map(([what, value]) => `${what} ${String(value)}`);
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${String(seconds)} s): ${found.join(', ')}`);
  if (error !== undefined) console.log(error.replaceAll(/^/gm, '     '));
}

// What was started goes with this process, and it goes when it is told to.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const names = new Set(values.only ?? CASES.map(({ name }) => name));
const unknown = [...names].find((name) => !CASES.some((each) => each.name === name));
const PROGRAMS = ['redis-server', 'redis-cli', 'docker-registry', 'curl', 'cc', 'mkfs.ext4', 'tcpdump', 'faketime'];
const absent = diodeMissing() ?? missing(...PROGRAMS);
if (values.list) for (const { name, about } of CASES) console.log(`${name.padEnd(16)} ${about}`);
else if (unknown !== undefined || absent !== undefined || !(Number(values.minutes) > 0)) {
  console.error(
    `chaos: ${unknown === undefined ? (absent ?? '--minutes must be a number') : `there is no case ${unknown}`}`,
  );
  process.exitCode = 2;
} else {
  const outcomes: Outcome[] = [];
  for (const each of CASES.filter(({ name }) => names.has(name))) {
    const outcome = await run(each);
    outcomes.push(outcome);
    if (!values.json) tell(outcome);
  }
  const passed = outcomes.filter((outcome) => outcome.passed).length;
  const failed = outcomes.length - passed;
  console.log(
    values.json
      ? JSON.stringify({ cases: outcomes, passed, failed })
      : `${String(passed)} passed, ${String(failed)} failed`,
  );
  // What a case left open (a socket, a timer) holds nobody up.
  process.exit(failed === 0 ? 0 : 1);
}
