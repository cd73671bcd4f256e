// `pnpm fuzz [--only NAME]... [--runs N] [--seconds S] [--minimise] [--json]`: fuzzes each parser (docs/FUZZING.md), and prints what
// its corpus runs of it. Standard output is for the result: one JSON object, or the table. Exit status 1 when anything was found.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { campaign, type CampaignOptions, foundOf, hexOf } from './campaign.ts';
import { TOP, WORK } from './corpus.ts';
import { jazzerIn } from './engine.ts';
import { nodeWithLibc } from './libc.ts';
import { isTarget, TARGETS, type TargetName } from './names.ts';
import { type Replay, share } from './replay-result.ts';

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== '--'),
  options: {
    only: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '0' },
    minimise: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

function fail(text: string): never {
  console.error(`fuzz: ${text}`);
  process.exit(2);
}

const count = (name: 'runs' | 'seconds'): number => {
  const number = Number(values[name]);
  return Number.isSafeInteger(number) && number >= 0 ? number : fail(`--${name} takes a whole number`);
};

const chosen = values.only.flatMap((names) => names.split(','));
const unknown = chosen.find((name) => !isTarget(name));
if (unknown !== undefined) fail(`there is no target ${unknown}; there are ${TARGETS.join(', ')}`);
const names = TARGETS.filter((name) => chosen.length === 0 || chosen.includes(name));

/** Runs a program of this directory in a process of its own; its standard output. */
function program(file: string, ...args: readonly string[]): string {
  const path = join(TOP, 'test/fuzz', file);
  const done = spawnSync(process.execPath, [path, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
  if (done.status !== 0) throw new Error(`${file} ${args.join(' ')} ended with status ${String(done.status)}`);
  return done.stdout;
}

type Engine = Pick<CampaignOptions, 'node' | 'jazzer'>;

async function fuzz(name: TargetName, ready: Engine) {
  console.error(`fuzz: ${name}`);
  const onLine = (line: string): void => {
    if (values.verbose || /^#\d+\s+(INITED|pulse|DONE)/.test(line)) console.error(`  ${line}`);
  };
  const run = await campaign(name, { runs: count('runs'), seconds: count('seconds'), ...ready, onLine });
  if (run.report !== '') console.error(run.report);
  if (values.minimise && run.findings.length === 0)
    console.error(`  ${program('minimise.ts', name, foundOf(name)).trim()}`);
  const replay = JSON.parse(program('replay.ts', name)) as Replay;
  return {
    name,
    executions: run.executions,
    edges: run.edges,
    seconds: run.seconds,
    memoryMiB: run.memoryMiB,
    lines: share(replay),
    corpus: { files: replay.inputs, bytes: replay.bytes },
    findings: run.findings.map((file) => ({ file, hex: hexOf(file) })),
    replayed: replay.findings,
  };
}

type Row = Awaited<ReturnType<typeof fuzz>>;

const table = (rows: readonly Row[]): string =>
  ['| parser | executions | edges | lines | corpus | findings |', '|---|---|---|---|---|---|']
    .concat(
      rows.map(({ name, executions, edges, lines, corpus, findings, replayed }) => {
        const covered = `${lines.covered} of ${lines.lines} (${lines.percent} %)`;
        const files = `${corpus.files} files, ${corpus.bytes} bytes`;
        return `| ${name} | ${executions} | ${edges} | ${covered} | ${files} | ${findings.length + replayed.length} |`;
      }),
    )
    .join('\n');

function engine(): Engine {
  try {
    return { node: nodeWithLibc(join(WORK, 'libc')), jazzer: jazzerIn(join(WORK, 'engine')) };
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

const ready = engine();
const rows: Row[] = [];
for (const name of names) rows.push(await fuzz(name, ready));
const found = rows.reduce((sum, row) => sum + row.findings.length + row.replayed.length, 0);
process.stdout.write(values.json ? `${JSON.stringify({ parsers: rows, findings: found })}\n` : `${table(rows)}\n`);
process.exitCode = found === 0 ? 0 : 1;
