import { hostname } from 'node:os';
import { escapeJson } from '@sluice/ports';
import { prettyLine } from './pretty.ts';
import { clip } from './text.ts';

export type LogFields = Readonly<Record<string, unknown>>;

/** One level's function: fields and a message, or a message alone. An error goes into the field `err`. */
export interface LogFn {
  (fields: LogFields, message: string): void;
  (message: string): void;
}

export const LOG_LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;
export type LogLevel = keyof typeof LOG_LEVELS;
const LEVEL_NAMES = Object.keys(LOG_LEVELS) as LogLevel[];

/** What every part of Sluice logs to. pino's logger is one; `createJsonLogger` is another for processes without third-party code. */
export interface Logger extends Readonly<Record<LogLevel, LogFn>> {
  child(fields: Record<string, unknown>): Logger;
}

/** Depth and width to which logged values are followed. */
const LOG_DEPTH_MAX = 4;
const LOG_ITEMS_MAX = 64;

/** The fields as they may be printed: long strings clipped, errors as objects, bigints as text, bounded in depth and width. */
export function clipFields(fields: LogFields): Record<string, unknown> {
  return clipObject(fields, 0);
}

function clipObject(value: object, depth: number): Record<string, unknown> {
  const entries = Object.entries(value).slice(0, LOG_ITEMS_MAX);
  return Object.fromEntries(entries.map(([key, item]) => [clip(key), clipValue(item, depth + 1)]));
}

function clipValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return clip(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return clipError(value, depth);
  if (ArrayBuffer.isView(value)) return `${String(value.byteLength)} bytes`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return clipJson(value);
  if (depth >= LOG_DEPTH_MAX) return '...';
  if (Array.isArray(value)) return value.slice(0, LOG_ITEMS_MAX).map((item) => clipValue(item, depth + 1));
  return clipObject(value, depth);
}

const clipJson = (value: object): unknown => {
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? undefined : clip(text.startsWith('"') ? String(JSON.parse(text)) : text);
};

function clipError(error: Error, depth: number): Record<string, unknown> {
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    type: error.name,
    message: clip(error.message),
    stack: clip(error.stack ?? ''),
    ...(code === undefined ? {} : { code: clipValue(code, depth) }),
    ...(error.cause === undefined || depth >= LOG_DEPTH_MAX ? {} : { cause: clipValue(error.cause, depth + 1) }),
  };
}

/** The level that SLUICE_LOG_LEVEL names; `info` where it names none. */
export function wantedLevel(env: NodeJS.ProcessEnv = process.env): LogLevel {
  return LEVEL_NAMES.find((level) => level === env.SLUICE_LOG_LEVEL) ?? 'info';
}

export interface JsonLoggerOptions {
  /** Lines below this level are not written; default what SLUICE_LOG_LEVEL says, or `info`. */
  readonly level?: LogLevel;
  /** Takes a whole line with its line feed; default standard output. */
  readonly write?: (line: string) => void;
  /** Milliseconds since 1970 for the field `time`; default the wall clock. */
  readonly now?: () => number;
}

/** A logger in pino's line shape (level, time, pid, hostname, name, msg) with no code but ours. */
export function createJsonLogger(name: string, options: JsonLoggerOptions = {}): Logger {
  const write = options.write ?? stdoutWriter();
  const least = LOG_LEVELS[options.level ?? wantedLevel()];
  const now = options.now ?? Date.now;
  const build = (bound: Record<string, unknown>): Logger => {
    const at = (level: LogLevel): LogFn => {
      const number = LOG_LEVELS[level];
      if (number < least) return () => undefined;
      return (first: LogFields | string, message?: string) => {
        const fields = typeof first === 'string' ? {} : clipFields(first);
        const msg = clip(typeof first === 'string' ? first : (message ?? ''));
        write(`${escapeJson(JSON.stringify({ level: number, time: now(), ...bound, ...fields, msg }))}\n`);
      };
    };
    return fromLevels(at, (fields) => build({ ...bound, ...clipFields(fields) }));
  };
  return build({ pid: process.pid, hostname: hostname(), name });
}

/** A logger made of one function per level. */
export function fromLevels(at: (level: LogLevel) => LogFn, child: Logger['child']): Logger {
  const levels = Object.fromEntries(LEVEL_NAMES.map((level) => [level, at(level)])) as Record<LogLevel, LogFn>;
  return { ...levels, child };
}

/** Standard output, synchronous for pipes and files, and for people on a terminal. Once nobody reads it any more, lines are dropped: no reason to stop. */
function stdoutWriter(): (line: string) => void {
  let gone = false;
  process.stdout.on('error', () => {
    gone = true;
  });
  const pretty = process.stdout.isTTY;
  return (line) => {
    if (!gone) process.stdout.write(pretty ? `${prettyLine(line)}\n` : line);
  };
}
