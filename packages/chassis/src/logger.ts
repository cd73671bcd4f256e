import { isatty } from 'node:tty';
import { clip, clipFields, type Logger, type LogLevel, prettyLine, wantedLevel } from '@sluice/base';
import { escapeJson } from '@sluice/ports';
import { destination, pino } from 'pino';

export interface LoggerOptions {
  readonly level?: LogLevel;
  /** Takes a whole line with its line feed; default standard output, written at once so that a crash loses nothing. */
  readonly write?: (line: string) => void;
}

/** A pino logger. Foreign text in fields and messages is clipped, and escaped so that no terminal obeys it. */
export function createLogger(name: string, options: LoggerOptions = {}): Logger {
  const write = options.write ?? stdout();
  return pino(
    {
      name,
      level: options.level ?? wantedLevel(),
      formatters: { log: clipFields, bindings: clipFields },
      hooks: {
        logMethod(args, method) {
          const [first, message] = args as [unknown, string | undefined];
          if (typeof first === 'string') method.call(this, clip(first));
          else method.call(this, first, clip(message ?? ''));
        },
      },
    },
    {
      write: (line) => {
        write(escapeJson(line));
      },
    },
  );
}

function stdout(): (line: string) => void {
  const stream = destination({ fd: 1, sync: true });
  // Machines read JSON; who looks at a terminal is a person.
  const pretty = isatty(1);
  return (line) => {
    stream.write(pretty ? `${prettyLine(line)}\n` : line);
  };
}
