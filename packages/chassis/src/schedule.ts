import { checked, string, type Logger, type Schema } from '@sluice/base';
import { createTask, validate } from 'node-cron';

/** A configuration value that is a cron expression (five fields, or six with seconds first). */
export const cronExpression = (about: string): Schema<string> =>
  checked(string(about, { max: 256, words: 'cron expression such as "*/5 * * * *"' }), (text) =>
    validate(text) ? undefined : `is "${text}", which is no cron expression; write five fields such as "*/5 * * * *".`,
  );

export interface Schedule {
  /** Runs now, unless a run is on; resolves when the run is over. */
  run(): Promise<void>;
  /** The next time by the wall clock. */
  next(): Date | null;
  /** No further runs; resolves when the one that is on is over. */
  stop(): Promise<void>;
}

/**
 * Runs `work` by a valid cron expression, never twice at once: a run that falls due during another is left out and
 * logged. An error is logged and the schedule goes on.
 */
export function schedule(
  expression: string,
  work: () => void | Promise<void>,
  options: { readonly name: string; readonly logger: Logger },
): Schedule {
  const logger = options.logger.child({ schedule: options.name });
  let running: Promise<void> | undefined;
  const attempt = async (): Promise<void> => {
    try {
      await work();
    } catch (err) {
      logger.error({ err }, 'a scheduled run failed');
    }
  };
  const run = (): Promise<void> => {
    if (running === undefined) {
      running = attempt().finally(() => {
        running = undefined;
      });
    } else logger.warn('a scheduled run was left out: the one before is still on');
    return running;
  };
  const task = createTask(expression, run, {
    name: options.name,
    // A late run is no reason to worry: what it looks at is still there the next time.
    suppressMissedWarning: true,
    logger: {
      info: (message) => logger.info(message),
      warn: (message) => logger.warn(message),
      error: (message) => logger.error({ err: message }, 'the scheduler failed'),
      debug: (message) => logger.debug(String(message)),
    },
  });
  void task.start();
  return {
    run,
    next: () => task.getNextRun(),
    stop: async () => {
      await task.destroy();
      await running;
    },
  };
}
