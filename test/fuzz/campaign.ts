// One run of the coverage-guided fuzzer (jazzer.js, which is libFuzzer) on one target.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTarget } from './build.ts';
import { corpusOf, WORK } from './corpus.ts';
import { loadTarget, type TargetName } from './names.ts';

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
  return { target, entry, build: join(place, 'build'), seeds, artifacts, words };
}

/** Fuzzes one target until the runs or the seconds are used up, or something is found. */
export async function campaign(name: TargetName, options: CampaignOptions): Promise<Campaign> {
  const { target, entry, build, seeds, artifacts, words } = await prepare(name);
  const [program = process.execPath, ...before] = options.node;
  const args = [
    ...[...before, options.jazzer, entry, foundOf(name), corpusOf(name), seeds],
    ...['--includes', build, '--disable_bug_detectors', '.*', '--timeout', String(INPUT_SECONDS * 1000)],
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
