import { promisify } from 'node:util';
import { oneLine } from './text.ts';

/**
 * Sends one sd_notify(3) message (assignments separated by line feeds) to the AF_UNIX datagram socket `socketPath`
 * (a leading `@` stands for the abstract namespace). Node has no such sockets, so the sender is handed in.
 */
export type NotifySend = (socketPath: string, message: string) => void | Promise<void>;

/** How long the systemd-notify program may take. */
const NOTIFY_PROGRAM_TIMEOUT_MS = 5000;
const STATUS_MAX = 256;

/** Sends through the `systemd-notify` program, which waits until systemd has taken the message. The unit needs NotifyAccess=all. */
export const notifyByProgram: NotifySend = async (socketPath, message) => {
  // Loaded where it is needed: most daemons start no program.
  const { execFile } = await import('node:child_process');
  await promisify(execFile)('systemd-notify', message.split('\n'), {
    env: { ...process.env, NOTIFY_SOCKET: socketPath },
    timeout: NOTIFY_PROGRAM_TIMEOUT_MS,
  });
};

/** What a service tells systemd. Without NOTIFY_SOCKET every function does nothing. */
export interface Notifier {
  ready(): void;
  reloading(): void;
  stopping(): void;
  status(text: string): void;
  /** Pets the watchdog: see `startWatchdog`. */
  watchdog(): void;
  /** Resolves when all that was said has been handed over (or has failed and was reported). Never rejects. */
  flush(): Promise<void>;
  /** The watchdog's time-out in microseconds, undefined when the unit sets none. */
  readonly watchdogUs: number | undefined;
}

export interface NotifierOptions {
  readonly send?: NotifySend;
  readonly env?: NodeJS.ProcessEnv;
  readonly pid?: number;
  /** Told of a message that could not be sent; a service goes on without. */
  readonly onError?: (error: unknown) => void;
}

/** Made once at start. Messages that come while one is being sent are merged, the latest of each kind winning. */
export function createNotifier(options: NotifierOptions = {}): Notifier {
  const { send = notifyByProgram, env = process.env, pid = process.pid, onError = () => undefined } = options;
  const socketPath = env.NOTIFY_SOCKET;
  const pending = new Map<string, string>();
  let sending: Promise<void> | undefined;

  const drain = async (path: string): Promise<void> => {
    // What is said within one turn goes out as one message; and `sending` is set before the end can clear it.
    await Promise.resolve();
    while (pending.size > 0) {
      const message = Array.from(pending, ([key, value]) => `${key}=${value}`).join('\n');
      pending.clear();
      try {
        await send(path, message);
      } catch (error) {
        onError(error);
      }
    }
    sending = undefined;
  };
  const say = (assignments: Readonly<Record<string, string>>, replaced: readonly string[] = []): void => {
    if (socketPath === undefined || socketPath === '') return;
    for (const key of replaced) pending.delete(key);
    for (const [key, value] of Object.entries(assignments)) pending.set(key, value);
    sending ??= drain(socketPath);
  };
  return {
    ready: () => {
      say({ READY: '1' }, ['RELOADING', 'MONOTONIC_USEC']);
    },
    reloading: () => {
      say({ RELOADING: '1', MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) }, ['READY']);
    },
    stopping: () => {
      say({ STOPPING: '1' });
    },
    status: (text) => {
      say({ STATUS: oneLine(text, STATUS_MAX) });
    },
    watchdog: () => {
      say({ WATCHDOG: '1' });
    },
    flush: () => sending ?? Promise.resolve(),
    watchdogUs: socketPath === undefined ? undefined : watchdogUs(env, pid),
  };
}

/** WATCHDOG_USEC when it is meant for this process (sd_watchdog_enabled(3)). */
function watchdogUs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: us, WATCHDOG_PID: forPid } = env;
  if (us === undefined || !/^[1-9]\d{0,14}$/.test(us)) return undefined;
  return forPid === undefined || forPid === String(pid) ? Number(us) : undefined;
}

export interface WatchdogOptions {
  /** True when the work has really moved (or had nothing to do) since the last call. */
  readonly progress: () => boolean;
  /** Time-out in microseconds; default the notifier's, from WATCHDOG_USEC. */
  readonly intervalUs?: number | undefined;
  /** Told once for each stretch without progress; systemd will end the process unless progress comes back. */
  readonly onStall?: () => void;
}

/** Asks `progress` three times per time-out and pets the watchdog only on true. Does nothing when no watchdog is set. */
export function startWatchdog(notifier: Notifier, options: WatchdogOptions): { stop(): void } {
  const intervalUs = options.intervalUs ?? notifier.watchdogUs;
  if (intervalUs === undefined) return { stop: () => undefined };
  let stalled = false;
  const timer = setInterval(
    () => {
      if (options.progress()) {
        stalled = false;
        notifier.watchdog();
      } else if (!stalled) {
        stalled = true;
        options.onStall?.();
      }
    },
    Math.max(1, Math.floor(intervalUs / 3000)),
  );
  timer.unref();
  return {
    stop: () => {
      clearInterval(timer);
    },
  };
}
