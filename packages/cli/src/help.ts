import { EXIT } from '@sluice/base';
import { UsageError } from './arguments.ts';
import type { Option } from './options.ts';
import { type Entry, ENTRIES } from './table.ts';

/** What each exit status means; docs/ERRORS.md says the same. */
export const STATUSES: readonly (readonly [status: number, meaning: string])[] = [
  [EXIT.ok, 'done; of a question, the good answer'],
  [EXIT.failed, 'it failed or was refused, and a sentence said why; of a question, the other answer'],
  [EXIT.usage, 'the command line is not one that is known'],
  [EXIT.ledgerBroken, 'of "ledger verify": the ledger does not hold'],
  [EXIT.storeLacks, 'of "ledger verify": the store does not have what the ledger says'],
  [EXIT.crash, 'a mistake of the program itself: report it'],
  [EXIT.stuck, 'a daemon was told to stop, and did not end in time'],
  [EXIT.config, 'a configuration, or a key that it names, is wrong'],
];

/** `--socket PATH`, in brackets where it may be left out. */
function optionWords([name, { value, required = false, multiple = false }]: readonly [string, Option]): string {
  const words = `--${name}${value === undefined ? '' : ` ${value}`}`;
  return `${required ? words : `[${words}]`}${multiple ? '...' : ''}`;
}

/** The command line of a command in one line. */
export const synopsisOf = (name: string, { options, operands }: Entry): string =>
  ['sluice', name, ...Object.entries(options).map(optionWords), operands ?? ''].join(' ').trimEnd();

/** What is known of an option, in words. */
export const aboutOption = ({ about, words, default: usual }: Option): string =>
  [about, ...(words === undefined ? [] : [`one of ${words.join(', ')}`]), ...(usual === undefined ? [] : [usual])].join(
    '; ',
  );

/** The groups in the order of the table, with their commands. */
export function groups(): readonly (readonly [group: string, entries: typeof ENTRIES])[] {
  const names = [...new Set(ENTRIES.map(([, { group }]) => group))];
  return names.map((name) => [name, ENTRIES.filter(([, { group }]) => group === name)]);
}

/** `sluice help`. */
export function usage(): string {
  const wide = Math.max(...ENTRIES.map(([name]) => name.length)) + 2;
  const parts = groups().map(([group, entries]) =>
    [group, ...entries.map(([name, { about }]) => `  ${name.padEnd(wide)}${about}`)].join('\n'),
  );
  const first = 'usage: sluice COMMAND [OPTIONS]      "sluice help COMMAND" says more of one';
  return [first, ...parts].join('\n\n');
}

/** `sluice help COMMAND`: one command, or all that begin with this word. */
export function helpOf(words: readonly string[]): string {
  const name = words.join(' ');
  const found = ENTRIES.filter(([each]) => each === name || each.startsWith(`${name} `));
  if (found.length === 0) throw new UsageError(`there is no command "${name}"; "sluice help" lists them`);
  return found.map(([each, entry]) => helpText(each, entry)).join('\n\n');
}

/** Of `sluice keys link --help` that one command, of `sluice keys --help` all that begin with the word. */
export function helpAt(name: string, [second = '']: readonly string[]): string {
  const both = `${name} ${second}`;
  return helpOf([ENTRIES.some(([each]) => each === both) ? both : name]);
}

function helpText(name: string, entry: Entry): string {
  const options = Object.entries(entry.options).map(([option, each]) => {
    const words = `--${option}${each.value === undefined ? '' : ` ${each.value}`}`;
    return `  ${words.padEnd(24)} ${aboutOption(each)}`;
  });
  const { about, more } = entry;
  return [synopsisOf(name, entry), `  ${about}`, ...(more === undefined ? [] : [`  ${more}`]), ...options].join('\n');
}
