import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openPeerReader } from '../src/index.ts';

const NOBODY = 65_534;
/** Connects, and stays until the connection ends. Perl, since another user may not reach our Node. */
const CONNECT = 'my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; <$s>';

/** A server on a Unix socket, and the sockets of those who connect. */
async function listening() {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-peer-'));
  const path = join(directory, 'socket');
  const server = createServer().listen(path);
  await once(server, 'listening');
  chmodSync(directory, 0o755);
  chmodSync(path, 0o666);
  onTestFinished(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  const accept = async (options: {
    readonly uid?: number;
    readonly gid?: number;
  }): Promise<{ socket: Socket; pid: number }> => {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const child = spawn('perl', ['-MIO::Socket::UNIX', '-e', CONNECT, path], { stdio: 'ignore', ...options });
    const [socket] = await accepted;
    onTestFinished(() => void socket.destroy());
    return { socket, pid: child.pid ?? 0 };
  };
  return { accept };
}

it('tells process, user and group at the other end of a Unix socket', async () => {
  const { accept } = await listening();
  const peer = await openPeerReader('auto');
  const { socket, pid } = await accept({});
  expect(peer(socket)).toEqual({ pid, uid: process.getuid?.(), gid: process.getgid?.() });
  // Of a connection that has ended nothing can be told.
  socket.destroy();
  expect(peer(socket)).toBeUndefined();
});

it('tells another user from us, where we can be one', async () => {
  const { accept } = await listening();
  const [uid, gid] = process.getuid?.() === 0 ? [NOBODY, NOBODY] : [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const { socket, pid } = await accept({ uid, gid });
  expect((await openPeerReader('auto'))(socket)).toEqual({ pid, uid, gid });
});

it('tells nothing without native code', async () => {
  const { accept } = await listening();
  const { socket } = await accept({});
  expect((await openPeerReader('portable'))(socket)).toBeUndefined();
});
