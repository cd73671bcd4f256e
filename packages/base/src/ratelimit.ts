import { fromLevels, LOG_LEVELS, type LogFields, type LogFn, type Logger, type LogLevel } from './log.ts';

/** Different messages whose repeats are counted at once; beyond it the oldest is settled first. */
export const RATE_LIMITED_KEYS_MAX = 256;

/** How often the log says of something that lasts that it still does. */
export const LASTING_MS = 300_000;

interface Repeat {
  readonly level: LogLevel;
  readonly message: string;
  readonly timer: NodeJS.Timeout;
  fields: LogFields;
  count: number;
}

/** A logger whose repeats are counted instead of written; `flush` writes the counts now. */
export interface RateLimitedLogger extends Logger {
  flush(): void;
}

/**
 * Lets the first line of a level and message through and counts its repeats for `intervalMs` (default 10 s); then
 * writes the last of them with `repeated`, the number of lines it stands for. A flood costs one line an interval.
 */
export function rateLimited(logger: Logger, options: { readonly intervalMs?: number } = {}): RateLimitedLogger {
  const intervalMs = options.intervalMs ?? 10_000;
  const repeats = new Map<string, Repeat>();

  const settle = (key: string, repeat: Repeat): void => {
    clearTimeout(repeat.timer);
    repeats.delete(key);
    if (repeat.count > 0) logger[repeat.level]({ ...repeat.fields, repeated: repeat.count }, repeat.message);
  };
  const open = (key: string, level: LogLevel, message: string, fields: LogFields): void => {
    const [oldest] = repeats;
    if (repeats.size >= RATE_LIMITED_KEYS_MAX && oldest !== undefined) settle(...oldest);
    const repeat: Repeat = {
      level,
      message,
      fields,
      count: 0,
      timer: setTimeout(() => {
        settle(key, repeat);
        // What was a flood may still be one: its next line opens a new interval instead of being written at once.
        if (repeat.count > 0) open(key, level, message, repeat.fields);
      }, intervalMs),
    };
    repeat.timer.unref();
    repeats.set(key, repeat);
  };
  const at = (level: LogLevel): LogFn => {
    return (first: LogFields | string, second?: string) => {
      const message = typeof first === 'string' ? first : (second ?? '');
      const fields = typeof first === 'string' ? {} : first;
      const key = `${String(LOG_LEVELS[level])} ${message}`;
      const repeat = repeats.get(key);
      if (repeat !== undefined) {
        repeat.count += 1;
        repeat.fields = fields;
        return;
      }
      logger[level](fields, message);
      open(key, level, message, fields);
    };
  };
  const flush = (): void => {
    for (const entry of [...repeats]) settle(...entry);
  };
  return { ...fromLevels(at, (fields) => rateLimited(logger.child(fields), { intervalMs })), flush };
}
