// One run of the coverage-guided fuzzer (jazzer.js, which is libFuzzer) on one target.
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buildTarget } from './build.ts';
import { corpusOf, WORK } from './corpus.ts';
import { loadTarget, type TargetName } from './names.ts';
import type { Replay } from './replay-result.ts';

/** Longest that one input may take, and the most memory of the process, before it counts as a finding. */
const INPUT_SECONDS = 10;
const MEMORY_MIB = 2048;
/** Files in memory, on most systems. */
const MEMORY = '/dev/shm';

export interface CampaignOptions {
  readonly runs: number;
  /** Ends the run early; 0 for no limit. */
  readonly seconds: number;
  /** How to start Node. */
  readonly node: readonly string[];
  /** Path of jazzer.js's command. */
  readonly jazzer: string;
  readonly onLine: (line: string) => void;
}

export interface Campaign {
  readonly executions: number;
  /** Different edges of the control flow graph that ran. */
  readonly edges: number;
  readonly seconds: number;
  /** Resident memory of the fuzzer at a tenth of the run, and at its end. */
  readonly memoryMiB: readonly [early: number, end: number];
  /** Files with the inputs that were findings: crashes, inputs that took too long or too much memory. */
  readonly findings: readonly string[];
  /** What the fuzzer said of the first one. */
  readonly report: string;
}

/** Where a target's runs keep what they found beyond the checked-in corpus. */
export const foundOf = (name: TargetName): string => join(WORK, 'found', name);

/** libFuzzer's spelling of a dictionary. */
const dictionary = (words: readonly string[]): string =>
  words
    .map((word) => {
      const escaped = [...new TextEncoder().encode(word)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`);
      return `"${escaped.join('')}"\n`;
    })
    .join('');

interface Progress {
  executions: number;
  edges: number;
  memory: { readonly at: number; readonly mib: number }[];
}

/** A status line such as `#4096 pulse cov: 120 ft: 300 corp: 40/2Kb lim: 64 exec/s: 2048 rss: 140Mb`. */
function follow(progress: Progress, line: string): void {
  const status = /^#(\d+)\s.*\bcov: (\d+) .*\brss: (\d+)Mb/.exec(line);
  if (status !== null) {
    const [at = 0, edges = 0, mib = 0] = status.slice(1).map(Number);
    progress.executions = Math.max(progress.executions, at);
    progress.edges = Math.max(progress.edges, edges);
    progress.memory.push({ at, mib });
  }
  const total = /^stat::number_of_executed_units:\s+(\d+)/.exec(line)?.[1];
  if (total !== undefined) progress.executions = Math.max(progress.executions, Number(total));
}

/** Files and directories of one run, made anew but for what was found before. */
async function prepare(name: TargetName) {
  const place = join(WORK, name);
  const target = await loadTarget(name);
  const entry = buildTarget(name, join(place, 'build'));
  const seeds = join(place, 'seeds');
  const artifacts = join(place, 'findings');
  for (const directory of [seeds, artifacts]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  for (const directory of [foundOf(name), corpusOf(name)]) mkdirSync(directory, { recursive: true });
  let count = 0;
  for (const seed of target.seeds()) writeFileSync(join(seeds, String(count++)), seed);
  const words = join(place, 'words');
  writeFileSync(words, dictionary(target.words ?? []));
  return { name, target, entry, build: join(place, 'build'), seeds, artifacts, words };
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

/** Fuzzes one target until the runs or the seconds are used up, or something is found. */
export async function campaign(name: TargetName, options: CampaignOptions): Promise<Campaign> {
  const ready = await prepare(name);
  let all = await once(ready, options);
  while (all.findings.length > 0 && all.findings.every((file) => hadStoodStill(name, file))) {
    options.onLine('fuzz: an input took long, and does not when it runs alone: the machine had stood still');
    for (const file of all.findings) rmSync(file);
    const [runs, seconds] = [options.runs - all.executions, options.seconds - all.seconds];
    if (runs <= 0 || (options.seconds > 0 && seconds <= 0)) return { ...all, findings: [], report: '' };
    all = together(all, await once(ready, { ...options, runs, seconds: Math.ceil(Math.max(0, seconds)) }));
  }
  return all;
}

/** True when the input was stopped by the clock, and is done with in time when it runs alone. */
function hadStoodStill(name: TargetName, file: string): boolean {
  if (!basename(file).startsWith('timeout-')) return false;
  const alone = mkdtempSync(join(tmpdir(), 'sluice-fuzz-alone-'));
  copyFileSync(file, join(alone, 'input'));
  const args = [join(import.meta.dirname, 'replay.ts'), name, alone];
  // The seeds run too, and Node must start.
  const timeout = 2 * INPUT_SECONDS * 1000;
  const done = spawnSync(process.execPath, args, { encoding: 'utf8', timeout, stdio: ['ignore', 'pipe', 'ignore'] });
  rmSync(alone, { recursive: true, force: true });
  return done.status === 0 && (JSON.parse(done.stdout) as Replay).findings.length === 0;
}

const together = (one: Campaign, next: Campaign): Campaign => ({
  executions: one.executions + next.executions,
  edges: Math.max(one.edges, next.edges),
  seconds: Math.round((one.seconds + next.seconds) * 10) / 10,
  memoryMiB: [one.memoryMiB[0], next.memoryMiB[1]],
  findings: next.findings,
  report: next.report,
});

async function once(
  { target, entry, build, seeds, artifacts, words, name }: Prepared,
  options: CampaignOptions,
): Promise<Campaign> {
  const [program = process.execPath, ...before] = options.node;
  const args = [
    ...[...before, options.jazzer, entry, foundOf(name), corpusOf(name), seeds],
    ...['--includes', build, '--disable_bug_detectors', '.*', '--timeout', String(INPUT_SECONDS * 1000)],
    // What a target checks is ours: an edge in it is none of the parser.
    ...['test', ...(target.elsewhere ?? [])].flatMap((directory) => ['--excludes', join(build, directory)]),
    ...(target.waits === true ? [] : ['--sync']),
    '--',
    ...[`-runs=${options.runs}`, `-max_total_time=${options.seconds}`, `-max_len=${target.bytesMax}`],
    ...[`-rss_limit_mb=${MEMORY_MIB}`, `-dict=${words}`, `-artifact_prefix=${artifacts}/`, '-print_final_stats=1'],
    '-reload=0',
  ];
  const started = performance.now();
  // What targets write is written a million times, and some of it synced.
  const scratch = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'sluice-fuzz-'));
  const env = { ...process.env, TMPDIR: scratch };
  const child = spawn(program, args, { cwd: build, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const progress: Progress = { executions: 0, edges: 0, memory: [] };
  const tail: string[] = [];
  const take = (line: string): void => {
    follow(progress, line);
    options.onLine(line);
    tail.push(line);
    if (tail.length > 200) tail.shift();
  };
  const status = await ended(child, take).finally(() => rmSync(scratch, { recursive: true, force: true }));
  const findings = readdirSync(artifacts).map((file) => join(artifacts, file));
  if (status !== 0 && findings.length === 0) {
    throw new Error(`the fuzzer ended with status ${String(status)} and no finding:\n${tail.slice(-30).join('\n')}`);
  }
  const { executions, edges, memory } = progress;
  const early = memory.find(({ at }) => at >= executions / 10)?.mib ?? 0;
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const report = findings.length === 0 ? '' : tail.filter((line) => !line.startsWith('#')).join('\n');
  return { executions, edges, seconds, memoryMiB: [early, memory.at(-1)?.mib ?? 0], findings, report };
}

/** Hands each line of both outputs to `take`; the exit status. */
function ended(child: ReturnType<typeof spawn>, take: (line: string) => void): Promise<number | null> {
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream?.setEncoding('utf8').on('data', (text: string) => {
        const lines = `${rest}${text}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) take(line);
      });
    }
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** A finding's bytes, for the report. */
export const hexOf = (file: string): string => readFileSync(file).toString('hex').slice(0, 400);
