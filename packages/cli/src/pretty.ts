import { createInterface } from 'node:readline';
import { prettyLine } from '@sluice/base';
import { parseArguments, UsageError } from './arguments.ts';
import { optionsOf } from './table.ts';

/** `sluice pretty`: standard input, line by line, as people read it. */
export async function pretty(args: readonly string[]): Promise<number> {
  const { positionals } = parseArguments(args, optionsOf('pretty'));
  if (positionals.length > 0) throw new UsageError('pretty reads standard input');
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    process.stdout.write(`${prettyLine(line)}\n`);
  }
  return 0;
}
