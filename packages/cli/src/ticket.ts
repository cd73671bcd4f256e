import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { parseTicket } from '@sluice/bundle';
import { sha256 } from '@sluice/trust';
import encodeQR from 'qr';
import { parseArguments, RefusedError, UsageError } from './arguments.ts';
import { type Answer, ask, refusalOf } from './ask.ts';
import { printed } from './control.ts';
import { say, tell } from './say.ts';
import { optionsOf } from './table.ts';

/** A file that is longer holds no ticket. */
const TICKET_FILE_BYTES = 65_536;

/** `sluice ticket [BUNDLE]`: shows what lacks, asks, and prints the ticket. */
export async function ticket(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('ticket'));
  const [bundle] = positionals;
  if (positionals.length > 1) throw new UsageError('ticket takes one bundle: its id, its number, or CHANNEL/NUMBER');
  const drafted = accepted(await ask(values.socket, '/v1/ticket/draft', { bundle }));
  const { words, draft } = drafted.body;
  tell('This is all that the ticket will say:', ...linesOf(words));
  if (values.yes !== true && !(await agreed())) throw new RefusedError('no ticket was issued');
  const { channel, sequence } = drafted.body;
  // Named in full: another bundle may have become incomplete meanwhile.
  const name = `${String(channel)}/${String(sequence)}`;
  const issued = accepted(await ask(values.socket, '/v1/ticket', { bundle: name, draft }));
  const text = String(issued.body.ticket);
  if (values.json === true) printed({ channel, sequence, words, ticket: text });
  else say(...text.trimEnd().split('\n'));
  // With JSON the picture stands beside it.
  if (values.qr === true)
    (values.json === true ? process.stderr : process.stdout).write(`${encodeQR(text, 'term', { ecc: 'low' })}\n`);
  if (values.out !== undefined) writeFileSync(values.out, text, { flag: 'wx' });
  return 0;
}

/** `sluice repair TICKET`: has the sender send what a ticket asks for. A typing error is told before the sender is asked. */
export async function repair(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('repair'));
  const [file] = positionals;
  if (file === undefined || positionals.length > 1)
    throw new UsageError('repair takes one file with a ticket, or - for standard input');
  const text = readFileSync(file === '-' ? 0 : file, 'latin1').slice(0, TICKET_FILE_BYTES);
  const read = parseTicket(text, sha256);
  if (!read.ok) throw new RefusedError(`${read.error.detail} (${read.error.code})`);
  const { body } = accepted(await ask(values.socket, '/v1/repair', { ticket: text }));
  if (values.json === true) return printed(body);
  const { words, before, channel, sequence } = body;
  const again = before === 0 ? '' : `, for the ${String(Number(before) + 1)}. time`;
  say(...linesOf(words), `It is sent now, for bundle ${String(sequence)} of channel ${String(channel)}${again}.`);
  return 0;
}

const linesOf = (words: unknown): string[] => (Array.isArray(words) ? words.map(String) : []);

function accepted(answer: Answer): Answer {
  if (answer.status === 404)
    throw new RefusedError(
      'the daemon issues and serves no tickets: they are switched off in its configuration (ticket-off)',
    );
  if (answer.status !== 200) throw new RefusedError(refusalOf(answer));
  return answer;
}

/** A person says so, at a terminal. */
async function agreed(): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError('without a terminal to ask at, ticket takes --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question('Issue it? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}
