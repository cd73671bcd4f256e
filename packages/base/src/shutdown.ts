import { OperationalError } from '@sluice/ports';
import { EXIT } from './exit.ts';
import type { Logger } from './log.ts';
import type { Notifier } from './notify.ts';

type Stop = () => void | Promise<void>;

/** Default time for the whole graceful stop. */
export const SHUTDOWN_DEADLINE_MS = 10_000;
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** The part of `process` that is used; tests hand in their own. */
export interface ProcessEvents {
  on(event: string, listener: (value: unknown) => void): unknown;
  off(event: string, listener: (value: unknown) => void): unknown;
  exit(status: number): void;
}

export interface ShutdownOptions {
  readonly logger: Logger;
  readonly notifier?: Notifier;
  readonly deadlineMs?: number;
  readonly process?: ProcessEvents;
}

/** The one place that ends the process. */
export interface Shutdown {
  /** Adds a step. Steps run one after the other, the last added first, so what was started last stops first. */
  add(name: string, stop: Stop): void;
  /** Aborted when the stop begins. */
  readonly signal: AbortSignal;
  /** Begins the stop; further calls wait for the same one. Ends the process with `status`. */
  stop(reason: string, status?: number): Promise<void>;
  /** Takes the handlers off again (tests, and commands that end by themselves). */
  uninstall(): void;
}

/**
 * SIGTERM and SIGINT stop in order and exit 0; a step that fails makes it 1, one that hangs beyond the deadline 75.
 * A second signal exits at once (128 + its number). An uncaught error or unhandled rejection is our own mistake: it is
 * logged and the process exits 70 without running the steps, since the state is no longer one that we designed. An
 * uncaught failure of the world (a full disk under the ledger) ends the process likewise, with 1.
 */
export function installShutdown(options: ShutdownOptions): Shutdown {
  const { logger, notifier, deadlineMs = SHUTDOWN_DEADLINE_MS } = options;
  const host: ProcessEvents = options.process ?? process;
  const steps: { readonly name: string; readonly stop: Stop }[] = [];
  const abort = new AbortController();
  let stopping: Promise<void> | undefined;
  let current = '';

  const runSteps = async (status: number): Promise<number> => {
    let result = status;
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      current = step.name;
      try {
        await step.stop();
      } catch (err) {
        logger.error({ err, step: step.name }, 'a step of the shutdown failed');
        result = EXIT.failed;
      }
    }
    await notifier?.flush();
    return result;
  };
  const begin = async (reason: string, status: number): Promise<void> => {
    logger.info({ reason }, 'stopping');
    notifier?.stopping();
    abort.abort();
    const timer = setTimeout(() => {
      logger.fatal({ step: current, deadlineMs }, 'the shutdown did not end in time');
      host.exit(EXIT.stuck);
    }, deadlineMs);
    const result = await runSteps(status);
    clearTimeout(timer);
    logger.info({ status: result }, 'stopped');
    host.exit(result);
  };
  const stop = (reason: string, status: number = EXIT.ok): Promise<void> => (stopping ??= begin(reason, status));
  const onSignal = (signal: unknown): void => {
    const name = signal === 'SIGINT' ? 'SIGINT' : 'SIGTERM';
    if (stopping !== undefined) host.exit(128 + SIGNALS[name]);
    else void stop(name);
  };
  const onCrash = (err: unknown): void => {
    if (err instanceof OperationalError) {
      logger.fatal({ err, code: err.code }, 'the process cannot go on; started again it takes up its work');
      host.exit(EXIT.failed);
      return;
    }
    logger.fatal({ err }, 'uncaught error: this is a mistake in Sluice, please report it');
    host.exit(EXIT.crash);
  };
  const handlers = { SIGTERM: onSignal, SIGINT: onSignal, uncaughtException: onCrash, unhandledRejection: onCrash };
  for (const [event, handler] of Object.entries(handlers)) host.on(event, handler);
  return {
    add: (name, step) => {
      steps.push({ name, stop: step });
    },
    signal: abort.signal,
    stop,
    uninstall: () => {
      for (const [event, handler] of Object.entries(handlers)) host.off(event, handler);
    },
  };
}
