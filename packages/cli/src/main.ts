#!/usr/bin/env node
import { EXIT } from '@sluice/base';
import { CONFIG_CODES, hostile, OperationalError, terminalText } from '@sluice/ports';
import { RefusedError, UsageError } from './arguments.ts';
import { commands } from './commands.ts';

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help') {
    const { usage } = await import('./help.ts');
    process.stdout.write(`${usage()}\n`);
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw new UsageError(`there is no command "${name}"; "sluice help" lists them`);
  if (asksForHelp(args)) {
    const { helpAt } = await import('./help.ts');
    process.stdout.write(`${helpAt(name, args)}\n`);
    return EXIT.ok;
  }
  return command(args);
}

/** The package of one side has not the daemons of the other. */
function otherSide(error: unknown): string | undefined {
  if (!(error instanceof Error && 'code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') return undefined;
  const daemon = /package '@sluice\/(sender|receiver|link|importer)'/.exec(error.message)?.[1];
  if (daemon === undefined) return undefined;
  return `${daemon} is not in this package; it is in sluice-${daemon === 'sender' ? 'sender' : 'receiver'}`;
}

/** `--help` among the options; behind `--` all are operands. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes('--help');
}

/** The exit status of an error (docs/ERRORS.md); undefined when it is a mistake of ours. */
function statusOf(error: unknown): number | undefined {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof RefusedError) return EXIT.failed;
  if (error instanceof OperationalError)
    return CONFIG_CODES.some((code) => code === error.code) ? EXIT.config : EXIT.failed;
  // A file that a command was given cannot be read or written.
  return error instanceof Error && 'syscall' in error ? EXIT.failed : undefined;
}

try {
  const status = await main(process.argv.slice(2));
  process.exitCode = status;
} catch (error) {
  const elsewhere = otherSide(error);
  const text = elsewhere ?? (error instanceof Error ? error.message : String(error));
  const code = error instanceof OperationalError ? ` (${error.code})` : '';
  process.stderr.write(`sluice: ${terminalText(hostile(text, 2000))}${code}\n`);
  const status = elsewhere === undefined ? statusOf(error) : EXIT.usage;
  if (status === undefined && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  process.exit(status ?? EXIT.crash);
}
