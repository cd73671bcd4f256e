import { chmodSync, chownSync, lstatSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { type OperationalCode, OperationalError } from '@sluice/ports';

/** Longest path of a Unix socket (sockaddr_un, with its closing zero). */
const SOCKET_PATH_MAX = 107;

export interface SocketAccess {
  /** File mode, such as 0o660. */
  readonly mode: number;
  /** Group by name or number; default the group of the directory (setgid) or of the process. */
  readonly group?: string | number;
}

/**
 * Lets `server` listen on a Unix socket with these access rights and no moment of wider ones.
 * A socket file that nobody serves any more is removed first.
 * @throws OperationalError `socket-in-use`, `socket-path` (not a socket, too long, no such directory) or `socket-group`.
 */
export async function listenUnix(server: Server, path: string, access: SocketAccess): Promise<void> {
  await removeStale(path);
  const gid = access.group === undefined ? undefined : groupId(access.group);
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // The bind happens within this call, under the umask above.
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
      process.umask(before);
    });
  } catch (error) {
    // libuv says EACCES for a directory that is not there, too.
    const isThere = statSync(dirname(path), { throwIfNoEntry: false }) !== undefined;
    throw socketError(
      'socket-path',
      isThere
        ? `${path}: cannot listen here (${codeOf(error)}); make its directory writable.`
        : `${path}: cannot listen here: there is no directory ${dirname(path)}; make it.`,
      error,
    );
  } finally {
    process.umask(before);
  }
  if (gid !== undefined) chownSync(path, -1, gid);
  chmodSync(path, access.mode);
}

async function removeStale(path: string): Promise<void> {
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
    throw socketError('socket-path', `${path}: longer than ${String(SOCKET_PATH_MAX)} bytes; choose a shorter path.`);
  }
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw socketError('socket-path', `${path}: not a socket; move it away or name another path.`);
  if (await isServed(path)) {
    throw socketError('socket-in-use', `${path}: another process serves it; stop that one first.`);
  }
  rmSync(path, { force: true });
}

/** True when somebody accepts connections there. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const answer = (served: boolean) => (): void => {
      probe.destroy();
      resolve(served);
    };
    probe.once('connect', answer(true));
    probe.once('error', (error) => {
      answer(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error)))();
    });
  });
}

/** The number of a local group. */
function groupId(group: string | number): number {
  if (typeof group === 'number') return group;
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${group}:`));
  const gid = line?.split(':')[2];
  if (gid === undefined) {
    throw socketError(
      'socket-group',
      `there is no group "${group}"; make it (groupadd --system ${group}) or name another.`,
    );
  }
  return Number(gid);
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
const socketError = (code: OperationalCode, message: string, cause?: unknown): OperationalError =>
  new OperationalError(code, message, { retryable: false, cause });
