import { hostile, terminalText } from '@sluice/ports';
import { LOG_LEVELS } from './log.ts';

/** Longest value, and longest line of a stack, as they are shown. */
const VALUE_MAX = 300;
const STACK_LINES = 8;
/** As much of a digest as tells bundles apart; commands take it for the whole. */
const DIGEST_SHOWN = 19;

/** Said by every line, and of no use to who reads one service's. */
const HIDDEN = new Set(['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err']);

/**
 * A line of the log as people read it: time, level, process, message, fields. What is no line of ours stays as it is, but for
 * what a terminal would obey.
 */
export function prettyLine(line: string): string {
  const fields = parsed(line);
  if (fields === undefined) return terminalText(hostile(line.trimEnd(), 4096));
  const { level, time, name, msg, err } = fields;
  const words = [
    typeof time === 'number' ? new Date(time).toISOString().replace('T', ' ').slice(0, 23) : '',
    nameOf(level).padEnd(5),
    text(name).padEnd(8),
    text(msg),
    ...Object.entries(fields).flatMap(([key, value]) =>
      HIDDEN.has(key) || value === '' ? [] : [`${text(key)}=${valueText(value)}`],
    ),
  ];
  return [words.join(' ').trimEnd(), ...errorLines(err)].join('\n');
}

const nameOf = (level: unknown): string =>
  Object.entries(LOG_LEVELS)
    .flatMap(([name, number]) => (number === level ? [name.toUpperCase()] : []))
    .join('');

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Readonly<Record<string, unknown>>;
    return typeof value.level === 'number' && typeof value.msg === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? terminalText(hostile(value, VALUE_MAX)) : '');

function valueText(value: unknown): string {
  if (typeof value !== 'string') return terminalText(hostile(JSON.stringify(value), VALUE_MAX));
  if (/^sha256:[0-9a-f]{64}$/.test(value)) return value.slice(0, DIGEST_SHOWN);
  const shown = text(value);
  return /[\s"=]/.test(shown) ? JSON.stringify(shown) : shown;
}

/** What the world did has a code and a sentence; of our own mistakes the stack says more. */
function errorLines(err: unknown): string[] {
  if (typeof err !== 'object' || err === null) return [];
  const { message, code, stack, type } = err as Readonly<Record<string, unknown>>;
  const first = `  ${text(type)}: ${text(message)}${typeof code === 'string' ? ` (${text(code)})` : ''}`;
  if (typeof code === 'string' || typeof stack !== 'string') return [first];
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return [first, ...frames.slice(0, STACK_LINES).map((line) => `    ${text(line.trim())}`)];
}
