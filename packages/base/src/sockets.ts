import { OperationalError } from '@sluice/ports';

/** First descriptor of systemd's socket activation (sd_listen_fds(3), SD_LISTEN_FDS_START). */
const LISTEN_FDS_START = 3;
/** More than this many handed-in sockets is a mistake in the environment. */
export const LISTEN_FDS_MAX = 64;

export interface ListenFd {
  readonly fd: number;
  /** `FileDescriptorName=` of the socket unit, `unknown` when none was given. */
  readonly name: string;
}

/**
 * The sockets handed in by systemd (sd_listen_fds(3)), and taken out of `env` so that no child takes them for its own.
 * `LISTEN_PID` of another process means none; a parent that spawns us cannot know our pid before and leaves it out.
 * Throws OperationalError `listen-fds` when the variables make no sense.
 */
export function listenFds(env: NodeJS.ProcessEnv = process.env, pid: number = process.pid): ListenFd[] {
  const { LISTEN_FDS: count, LISTEN_PID: forPid, LISTEN_FDNAMES: names } = env;
  if (count === undefined || (forPid !== undefined && forPid !== String(pid))) return [];
  const total = /^\d{1,4}$/.test(count) ? Number(count) : Number.NaN;
  if (!(total <= LISTEN_FDS_MAX)) {
    throw listenError(`LISTEN_FDS is "${count}" but must be a number up to ${String(LISTEN_FDS_MAX)}`);
  }
  const given = names === undefined || names === '' ? [] : names.split(':');
  if (given.length > 0 && given.length !== total) {
    throw listenError(`LISTEN_FDNAMES names ${String(given.length)} sockets but LISTEN_FDS says ${count}`);
  }
  delete env.LISTEN_FDS;
  delete env.LISTEN_PID;
  delete env.LISTEN_FDNAMES;
  return Array.from({ length: total }, (_, index) => ({
    fd: LISTEN_FDS_START + index,
    name: given[index] ?? 'unknown',
  }));
}

const listenError = (what: string): OperationalError =>
  new OperationalError(
    'listen-fds',
    `${what}; start this process through its systemd socket unit or without LISTEN_FDS.`,
    {
      retryable: false,
    },
  );
