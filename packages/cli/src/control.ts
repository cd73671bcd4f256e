import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';
import { type Answer, ask, refusalOf } from './ask.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

/** A page of bundles with their artifacts. */
export const PAGE_BYTES = 64 * 2 ** 20;

/** What a daemon answered to a person; a refusal ends the command with its sentence and code. */
export async function answered(path: string, route: string, question: unknown): Promise<Answer['body']> {
  const answer = await ask(path, route, question, PAGE_BYTES);
  if (answer.status === 404) throw new RefusedError(`the daemon at ${path} does not do this`);
  if (answer.status !== 200) throw new RefusedError(refusalOf(answer));
  return answer.body;
}

export const textOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : '';
export const itemsOf = (value: unknown): readonly Answer['body'][] =>
  Array.isArray(value) ? (value as Answer['body'][]) : [];

async function hold(args: readonly string[], what: 'pause' | 'resume'): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf(what));
  if (positionals.length > 0) throw new UsageError(`${what} takes no operand`);
  const body = await answered(values.socket, `/v1/${what}`, { reason: required(values.reason, 'reason') });
  if (values.json === true) return printed(body);
  const { before } = body;
  const now = what === 'pause' ? 'Imports are paused; receiving goes on.' : 'Imports go on.';
  say(before === (what === 'pause') ? `${now} It was so before.` : now);
  return 0;
}

export const pause = (args: readonly string[]): Promise<number> => hold(args, 'pause');
export const resume = (args: readonly string[]): Promise<number> => hold(args, 'resume');

/** `sluice quarantine list|show|retry`. */
export async function quarantine([what, ...args]: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('quarantine retry'));
  const [bundle] = positionals;
  if (what === 'list' && bundle === undefined) return list(values.socket, values.json === true);
  if (bundle === undefined || positionals.length > 1 || (what !== 'show' && what !== 'retry'))
    throw new UsageError(
      'quarantine takes "list", "show BUNDLE" or "retry BUNDLE"; BUNDLE is an id, or CHANNEL/NUMBER',
    );
  const why = what === 'retry' ? { reason: required(values.reason, 'reason') } : {};
  const body = await answered(values.socket, `/v1/quarantine/${what}`, { bundle, ...why });
  if (values.json === true) return printed(body);
  if (what === 'retry') {
    say(`${named(body)} holds by the keys and the policy of now, and is ${textOf(body.state)} again.`);
    say('What it brings comes with the next pass, or by a ticket.');
    return 0;
  }
  say(`${named(body)}: ${textOf(body.code)}`, `  ${textOf(body.detail)}`, `  refused ${textOf(body.at)}`);
  for (const path of Array.isArray(body.statements) ? body.statements.map(String) : []) say(`  ${path}`);
  for (const { seq, kind, body: entry } of itemsOf(body.events))
    say(`  ledger ${textOf(seq)} ${textOf(kind)} ${JSON.stringify(entry)}`);
  return 0;
}

async function list(path: string, json: boolean): Promise<number> {
  const items: Answer['body'][] = [];
  for (let before: unknown; before !== null;) {
    const page = await answered(path, '/v1/quarantine', before === undefined ? {} : { before });
    if (json) items.push(...itemsOf(page.items));
    else for (const item of itemsOf(page.items)) say(`${named(item)}: ${textOf(item.code)}`);
    before = page.next ?? null;
  }
  return json ? printed({ items }) : 0;
}

/** `sluice retry [BUNDLE]`. */
export async function retry(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('retry'));
  const [bundle] = positionals;
  if (positionals.length > 1) throw new UsageError('retry takes one bundle: its id, or CHANNEL/NUMBER');
  const body = await answered(values.socket, '/v1/retry', { bundle, reason: required(values.reason, 'reason') });
  if (values.json === true) return printed(body);
  const bundles = Array.isArray(body.bundles) ? body.bundles.map(String) : [];
  for (const id of bundles) say(`${id} is tried now.`);
  if (body.others !== 0)
    say(`${textOf(body.others)} in work already, or next without it: "sluice status" says what holds them.`);
  else if (bundles.length === 0) say('No import waits.');
  return 0;
}

/** A document for programs, in place of words. */
export function printed(document: unknown): number {
  sayJson(JSON.stringify(document));
  return 0;
}

/** A bundle in one line. */
export function named({ bundle, channel, sequence, name }: Answer['body']): string {
  const number = sequence === 0 ? textOf(channel) : `${textOf(channel)}/${textOf(sequence)}`;
  return [textOf(bundle), number, textOf(name)].filter(Boolean).join(' ');
}
