import { parseArgs, type ParseArgsConfig } from 'node:util';

/** The command line is not one we know; the message says what is. */
export class UsageError extends Error {}

/** Input was refused; the message is the sentence about it, with its code. */
export class RefusedError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;

/** Options and operands of a command; anything unknown is a UsageError. */
export function parseArguments<const O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** The value of an option that must be there. */
export function required(value: string | undefined, option: string): string {
  if (value === undefined) throw new UsageError(`--${option} is missing`);
  return value;
}
