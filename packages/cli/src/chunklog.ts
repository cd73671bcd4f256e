import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ReceiverLedger } from '@sluice/ledger';
import { holdName, holdsIn, type LogVerification, verifyChunkLog } from '@sluice/receiver';
import { loadVerifier } from '@sluice/trust';
import { parseArguments, RefusedError, UsageError } from './arguments.ts';
import { Progress } from './progress.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

/** `sluice chunklog verify`: holds the files of a chunk log against its signed index. The status is 0 when nothing is amiss. */
export async function chunklog([what, ...args]: readonly string[]): Promise<number> {
  if (what !== 'verify') throw new UsageError('chunklog takes "verify"');
  const { values, positionals } = parseArguments(args, optionsOf('chunklog verify'));
  const [directory = optionsOf('hold').directory.default] = positionals;
  if (positionals.length > 1) throw new UsageError('chunklog verify takes one directory');
  const { key = [] } = values;
  if (key.length === 0) throw new UsageError('--key is missing: name the public key of the index');
  const verifiers = key.map((file) => loadVerifier(readFileSync(file, 'utf8')));
  const progress = new Progress({ what: 'verify' });
  const result = await verifyChunkLog(directory, verifiers, (done, total) => progress.at(done, total));
  progress.end();
  const faults = [...result.faults, ...(values.ledger === undefined ? [] : cutOff(result, values.ledger))];
  if (values.json === true) sayJson(JSON.stringify({ ...result, faults }));
  else say(...inWords(result, faults));
  return faults.length === 0 ? 0 : 1;
}

/** The last line that the ledger knows of must be in the index: else its end was cut off. */
function cutOff({ good, head }: LogVerification, path: string): string[] {
  return ReceiverLedger.read(path, ({ archive }) => {
    const last = archive.logs().at(-1);
    // Retention adds lines that the ledger does not hear of, so the newest file stands for the head.
    if (last === undefined || last.head === head || good.some(({ name }) => name === last.name)) return [];
    return [`the ledger knows of ${last.name}, which the index does not have: its end was cut off`];
  });
}

const time = (ms: number): string => new Date(ms).toISOString();

function inWords({ good, removed, waiting, head }: LogVerification, faults: readonly string[]): string[] {
  const [first, last] = [good[0], good.at(-1)];
  return [
    `good        ${String(good.length)} files${first === undefined || last === undefined ? '' : `, ${time(first.from)} to ${time(last.to)}`}`,
    `removed     ${String(removed)} by retention`,
    `waiting     ${String(waiting.length)} not in the index yet`,
    `head        ${head ?? 'none'}`,
    ...faults.map((fault) => `fault       ${fault}`),
    `result      ${faults.length === 0 ? 'nothing is amiss' : 'tampered with, or damaged'}`,
  ];
}

/** `sluice hold FROM TO`: exempts a stretch of time from the retention of the chunk log. */
export function hold(args: readonly string[]): number {
  const { values, positionals } = parseArguments(args, optionsOf('hold'));
  const { directory, release, reason = '' } = values;
  const isJson = values.json === true;
  if (values.list === true) {
    const held = holdsIn(directory).map((each) => ({ ...each, from: shown(each.from), to: shown(each.to) }));
    if (isJson) sayJson(JSON.stringify(held));
    else say(...held.map((each) => `${each.file} ${each.from} ${each.to} ${each.reason}`));
    return 0;
  }
  if (release !== undefined) {
    if (!holdsIn(directory).some(({ file }) => file === release))
      throw new RefusedError(`there is no hold ${release}; --list names them`);
    rmSync(join(directory, release));
    if (isJson) sayJson(JSON.stringify({ released: release }));
    else say(`${release} is released; retention may take what it held.`);
    return 0;
  }
  const [from, to] = positionals.map((text) => Date.parse(text));
  if (from === undefined || to === undefined || positionals.length > 2 || !(from <= to))
    throw new UsageError('hold takes two times such as 2026-11-24T08:15:00Z, the earlier first');
  const name = holdName(from, to);
  const body = { from: time(from), to: time(to), reason: reason.slice(0, 500) };
  writeFileSync(join(directory, name), `${JSON.stringify(body)}\n`, { mode: 0o644 });
  if (isJson) sayJson(JSON.stringify({ file: name, ...body }));
  else say(`${name}: chunk logs of ${body.from} to ${body.to} stay until  sluice hold --release ${name}`);
  return 0;
}

const shown = (ms: number): string => (Number.isFinite(ms) ? time(ms) : 'all time');
