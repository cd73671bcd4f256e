#!/usr/bin/env node
import { OperationalError } from '@sluice/ports';
import { hostile, printable } from '@sluice/bundle';
import { commands, USAGE } from './commands.ts';
import { UsageError } from './arguments.ts';

/** Exit statuses of the `sluice` command (docs/OPERATING.md). */
const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help') {
    process.stdout.write(`${USAGE}\n`);
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw new UsageError(`there is no command "${name}"; "sluice help" lists them`);
  return command(args);
}

try {
  const status = await main(process.argv.slice(2));
  process.exitCode = status;
} catch (error) {
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`sluice: ${printable(hostile(text, 2000))}\n`);
  if (!(error instanceof UsageError) && !(error instanceof OperationalError) && error instanceof Error) {
    process.stderr.write(`${error.stack ?? ''}\n`);
  }
  process.exit(error instanceof UsageError ? EXIT.usage : EXIT.failed);
}
