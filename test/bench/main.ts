// `pnpm bench`: how fast the pair is, beside its peers, in one run. docs/BENCHMARKS.md says how it measures.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missing } from '../harbor/needs.ts';
import { World } from '../world/world.ts';
import type { Cell, Context } from './cell.ts';
import { machine } from './machine.ts';
import { Plan, type PlanOptions } from './plan.ts';
import { diskType } from './procfs.ts';
import { makeReport, makeTable, notesOf } from './report.ts';
import { parseSetting } from './settings.ts';
import { SluiceCell } from './sluice-cell.ts';
import { parseBytes, printBytes } from './stats.ts';

const DEFAULTS = { size: '1GiB', files: '100000', rounds: '3', 'warm-up': '32MiB', 'iperf-seconds': '5' };

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== '--'),
  options: {
    json: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    dir: { type: 'string', default: '/var/tmp' },
    only: { type: 'string', multiple: true, default: [] },
    set: { type: 'string', multiple: true, default: [] },
    rate: { type: 'string' },
    size: { type: 'string', default: DEFAULTS.size },
    files: { type: 'string', default: DEFAULTS.files },
    rounds: { type: 'string', default: DEFAULTS.rounds },
    'warm-up': { type: 'string', default: DEFAULTS['warm-up'] },
    'iperf-seconds': { type: 'string', default: DEFAULTS['iperf-seconds'] },
  },
});

const started = performance.now();
// Standard output is for the result: one JSON object, or the table.
const say = (text: string): void => {
  console.error(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${text}`);
};

function fail(text: string): never {
  console.error(`bench: ${text}`);
  process.exit(1);
}

const absent = missing('redis-server', 'iperf3', 'udp-sender', 'tcpdump', 'strace', 'curl', 'ip', 'nft', 'ethtool');
if (absent !== undefined) fail(`${absent} is not installed; as root run deploy/prerequisites.sh`);
if (process.getuid?.() !== 0) fail('needs root, for namespaces, packet capture and the receive buffer');

/** `--rate`: Mb/s. */
const rate = values.rate === undefined ? undefined : Number(values.rate) * 1e6;
if (rate !== undefined && !(rate > 0)) fail('--rate takes megabits a second');

const options: PlanOptions = {
  full: values.full,
  size: parseBytes(values.size),
  files: Number(values.files),
  warmUp: parseBytes(values['warm-up']),
  iperfSeconds: Number(values['iperf-seconds']),
  rate,
  byHand: values.set.map(parseSetting),
  only: values.only.flatMap((words) => words.split(',')),
};
/** Not the measurement that the page describes. */
const partial =
  options.only.length > 0 ||
  options.byHand.length > 0 ||
  rate !== undefined ||
  Object.entries(DEFAULTS).some(([name, value]) => values[name as keyof typeof DEFAULTS] !== value);

const fileSystem = diskType(values.dir);
const base = mkdtempSync(join(values.dir, 'sluice-bench-'));
const context: Context = {
  base,
  keysFrom: join(base, 'keys-of/keys'),
  rounds: Number(values.rounds),
  keep: values.keep,
  say,
};
const host = machine();
const plan = new Plan(context, options);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    say(`${signal}: everything ends`);
    // After the programs, which are killed in the same way.
    process.once('exit', () => rmSync(base, { recursive: true, force: true }));
    process.exit(130);
  });
}

/** The effective configuration of what was measured. */
const configOf = (cells: readonly Cell[]): unknown => ({
  partial,
  size: printBytes(options.size),
  files: options.files,
  rounds: context.rounds,
  warmUp: printBytes(options.warmUp),
  handedIn: 'by rename into the inbox',
  fileSystem,
  machine: host,
  setByHand: Object.fromEntries(options.byHand),
  skipped: plan.skipped,
  notes: notesOf(cells),
  minutes: Math.round((performance.now() - started) / 6000) / 10,
  cells: Object.fromEntries(
    cells
      .filter((cell) => cell instanceof SluiceCell)
      .map((cell) => [cell.name, { ...cell.settings, rate: cell.rate ?? null, ...cell.samples[0]?.effective }]),
  ),
  failures: Object.fromEntries(cells.flatMap(({ name, failure }) => (failure === undefined ? [] : [[name, failure]]))),
});

async function bench(): Promise<boolean> {
  const { cells } = plan;
  say(`working in ${base} (${fileSystem})${partial ? '; a PARTIAL run: not the documented measurement' : ''}`);
  for (const text of plan.skipped) say(`skipped ${text}`);
  await World.create({ dir: join(base, 'keys-of') });
  for (let round = 1; cells.some(({ wanting }) => wanting); round += 1) {
    say(`round ${String(round)}`);
    for (const cell of cells) {
      if (!cell.wanting) continue;
      await cell.measure();
      if (cell.failure !== undefined) say(`${cell.name} FAILED: ${cell.failure}`);
    }
  }
  const report = makeReport(cells, configOf(cells), options.files);
  const table = makeTable(cells, report);
  if (values.json) {
    console.error(`\n${table}`);
    console.log(JSON.stringify(report));
  } else {
    console.log(`\n${table}\n\nconfiguration: ${JSON.stringify(report.config, undefined, 2)}`);
  }
  if (partial) console.error('\nbench: PARTIAL: these figures are not the documented measurement');
  return cells.every(({ failure }) => failure === undefined);
}

if (values.list) {
  for (const { name } of plan.cells) console.log(name);
  rmSync(base, { recursive: true });
} else {
  try {
    const whole = await bench();
    process.exitCode = whole ? 0 : 1;
    if (whole && !values.keep) rmSync(base, { recursive: true, force: true });
    else say(`logs are kept in ${base}`);
  } finally {
    plan.destroy();
  }
}
