import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { logNumber } from '@sluice/pcapng';
import type { Digest } from '@sluice/ports';
import { parseArguments, RefusedError, UsageError } from './arguments.ts';
import { Progress } from './progress.ts';
import { bundleObjects, type ReplayedBundle, StatementReader } from './replay/bundles.ts';
import { htmlReport } from './replay/html.ts';
import { keysOf, type ReplayKeys, unchecked } from './replay/keys.ts';
import { compareWithLedger } from './replay/ledger.ts';
import { type FullReport, fullReport } from './replay/report.ts';
import { runReplay } from './replay/run.ts';
import { portOf, type Selection, sessionOf, timeOf } from './replay/selection.ts';
import { sendReplay } from './replay/send.ts';
import { Watch } from './replay/watch.ts';
import { inWords, type ReplayReport } from './replay-report.ts';
import { ReplaySpool } from './replay-spool.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

const READ_BYTES = 1024 * 1024;
const MODES = ['verify', 'extract', 'report', 'send'] as const;
type Mode = (typeof MODES)[number];

/** Of all of them together; which of them a mode takes is in the table. */
type Name = 'keys' | 'out' | 'port' | 'from' | 'to' | 'session' | 'bundle' | 'ledger' | 'target' | 'rate';
type Values = Readonly<Partial<Record<Name, string | undefined>>> & {
  readonly work: string;
  readonly object?: readonly string[] | undefined;
  readonly json?: boolean | undefined;
};

function parse(mode: Mode, args: readonly string[]): { readonly values: Values; readonly positionals: string[] } {
  if (mode === 'report') return parseArguments(args, optionsOf('replay report'));
  if (mode === 'send') return parseArguments(args, optionsOf('replay send'));
  return parseArguments(args, optionsOf(`replay ${mode}`));
}

/**
 * `sluice replay [verify|extract|report|send]`: feeds logs through the receiving machines, with a replay window of its own.
 * The status is 0 when everything in the log came out whole, else 1.
 */
export async function replay(args: readonly string[]): Promise<number> {
  const named = MODES.find((each) => each === args[0]);
  const mode = named ?? 'verify';
  const { values, positionals } = parse(mode, named === undefined ? args : args.slice(1));
  const paths = filesIn(positionals);
  if (paths.length === 0) throw new UsageError('replay takes the chunk logs or captures, or a directory of chunk logs');
  const selection = selectionOf(values);
  const keys = values.keys === undefined ? unchecked() : keysOf(values.keys);
  const work = mkdtempSync(join(values.work, 'sluice-replay-'));
  try {
    const objects = await wanted(values, paths, keys, selection, work);
    const plan = { paths, keys, selection: { ...selection, objects } };
    if (mode === 'send') return await sendReplay(plan, work, values);
    if (mode === 'report') return await report(plan, work, values);
    return await verify(plan, work, values, mode);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Directories stand for the chunk logs in them. */
function filesIn(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
    const names = readdirSync(path).filter((name) => logNumber(name) !== undefined);
    return names.map((name) => join(path, name));
  });
}

const selectionOf = (values: Values): Selection => ({
  from: timeOf(values.from, 'from'),
  to: timeOf(values.to, 'to'),
  port: portOf(values.port),
  tsi: sessionOf(values.session),
  objects: undefined,
});

/** The digests that a bundle or an option names; a bundle's are looked up in the log first. */
async function wanted(
  values: Values,
  paths: readonly string[],
  keys: ReplayKeys,
  selection: Selection,
  work: string,
): Promise<ReadonlySet<Digest> | undefined> {
  const named = (values.object ?? []).map((text): Digest => {
    if (/^(sha256:)?[0-9a-f]{64}$/.test(text)) return text.length === 64 ? `sha256:${text}` : (text as Digest);
    throw new UsageError('--object takes the SHA-256 digest of an object');
  });
  if (values.bundle === undefined) return named.length === 0 ? undefined : new Set(named);
  const reader = new StatementReader();
  const spool = new ReplaySpool(join(work, 'statements'), { keep: false, statementsOnly: true, onWhole: reader.take });
  await runReplay({ paths, keys, selection, spool });
  const objects = bundleObjects(reader.bundles, values.bundle);
  if (objects === undefined) throw new RefusedError(`no statement of a bundle "${values.bundle}" is whole in the log`);
  return new Set([...named, ...objects]);
}

interface Plan {
  readonly paths: readonly string[];
  readonly keys: ReplayKeys;
  readonly selection: Selection;
}

const statusOf = ({ problems }: ReplayReport): number => (problems.length === 0 ? 0 : 1);

async function verify(plan: Plan, work: string, values: Values, mode: Mode): Promise<number> {
  if (mode === 'extract' && values.out === undefined) throw new UsageError('--out is missing');
  const { objects: only } = plan.selection;
  const spool = new ReplaySpool(values.out ?? join(work, 'objects'), { keep: values.out !== undefined, only });
  const result = await runReplay({ ...plan, spool });
  if (values.json === true) sayJson(JSON.stringify(result));
  else say(...inWords(result, values.out));
  return statusOf(result);
}

/** One file of HTML, and the same numbers as JSON beside it. */
async function report(plan: Plan, work: string, values: Values): Promise<number> {
  const { out } = values;
  if (out === undefined) throw new UsageError('--out is missing: the name of the HTML file');
  const reader = new StatementReader();
  const watch = new Watch();
  const { objects: only } = plan.selection;
  const spool = new ReplaySpool(join(work, 'objects'), { keep: false, only, onWhole: reader.take });
  const result = await runReplay({ ...plan, spool, watch });
  const bundles: readonly ReplayedBundle[] = reader.of(result.objects);
  const compared = values.ledger === undefined ? undefined : compareWithLedger(bundles, values.ledger);
  const made = { time: new Date().toISOString(), inputs: await inputsOf(plan.paths), selection: narrowed(values) };
  const full = fullReport(result, watch.end(), compared ?? bundles, made);
  const json = out.replace(/(\.html?)?$/, '.json');
  writeFileSync(out, htmlReport(full));
  writeFileSync(json, `${JSON.stringify(full)}\n`);
  if (values.json === true) sayJson(JSON.stringify(full));
  else say(...inWords(result, undefined), `report      ${out} and ${json}`);
  return statusOf(result);
}

/** What the report is of: anybody can hold it against the files. */
async function inputsOf(paths: readonly string[]): Promise<FullReport['made']['inputs']> {
  const progress = new Progress({ what: 'hash' });
  const total = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  const inputs: { name: string; bytes: number; sha256: string }[] = [];
  let done = 0;
  for (const path of paths) {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      bytes += piece.length;
      progress.at(done + bytes, total);
    }
    done += bytes;
    inputs.push({ name: basename(path), bytes, sha256: hash.digest('hex') });
  }
  progress.end();
  return inputs;
}

/** The options that left something out. */
function narrowed({ from, to, session, bundle, object = [], port }: Values): Readonly<Record<string, string>> {
  const given = { from, to, session, bundle, object: object.length === 0 ? undefined : object.join(' '), port };
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
