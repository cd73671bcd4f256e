import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bindUdp, peerCredentials, setTimerSlack, unixDatagramSend } from '../src/index.ts';
import { AF_UNIX, SOCK_DGRAM, sys } from '../src/libc.ts';
import { DropCounter } from '../src/drops.ts';
import { NativeSource } from '../src/native-source.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-udp-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** A bound Unix datagram socket; `name` begins with a zero byte for an abstract one. */
function unixReceiver(name: string): NativeSource {
  const fd = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
  const address = Buffer.concat([Uint8Array.of(AF_UNIX, 0), Buffer.from(name)]);
  expect(sys.bind(fd, address, address.length)).toBe(0);
  return new NativeSource(fd);
}

describe('unixDatagramSend', () => {
  it.each([
    ['a path', () => join(dir, 'notify'), (name: string) => name],
    ['an abstract name', () => `@sluice-udp-${String(process.pid)}`, (name: string) => `\0${name.slice(1)}`],
  ])('reaches %s', async (_, nameOf, bound) => {
    const name = nameOf();
    const source = unixReceiver(bound(name));
    await unixDatagramSend(name, 'READY=1\nSTATUS=up');
    const batch = source.receiveOnce(1000);
    expect(batch?.count).toBe(1);
    expect(Buffer.from(batch!.bytes.subarray(0, batch!.lengths[0])).toString()).toBe('READY=1\nSTATUS=up');
    await source.close();
  });

  it.each(['/nowhere/at/all', '@nobody-there', '', 'x'.repeat(108)])('says when nobody takes it: %s', async (path) => {
    await expect(unixDatagramSend(path, 'x')).rejects.toMatchObject({ code: 'socket' });
  });
});

describe('peerCredentials', () => {
  it('names the process at the other end, and refuses what is no socket', async () => {
    const server = createServer().listen(join(dir, 'control'));
    await once(server, 'listening');
    const client = connect(join(dir, 'control'));
    const [accepted] = (await once(server, 'connection')) as [Socket & { readonly _handle: { readonly fd: number } }];
    expect(await peerCredentials(accepted._handle.fd)).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    client.destroy();
    accepted.destroy();
    server.close();
    await expect(peerCredentials(-1)).rejects.toMatchObject({ code: 'socket' });
  });
});

describe('bindUdp', () => {
  it('gives the buffer that was asked for, as the kernel counts it', async () => {
    const { fd, port, receiveBuffer } = await bindUdp({ host: '127.0.0.1', port: 0, receiveBuffer: 131_072 });
    expect(receiveBuffer).toBe(131_072);
    expect(port).toBeGreaterThan(1023);
    sys.close(fd);
  });

  it.each(['localhost', '::1', '1.2.3', '1.2.3.256', ''])('refuses "%s" as an address', async (host) => {
    await expect(bindUdp({ host, port: 0, receiveBuffer: 65_536 })).rejects.toThrow('no IPv4 address');
  });
});

it('setTimerSlack changes the thread that calls', async () => {
  await setTimerSlack(1000);
  expect(readFileSync('/proc/self/timerslack_ns', 'utf8').trim()).toBe('1000');
  await setTimerSlack(50_000);
});

it('the drop counter goes on over the wrap of the kernel’s', () => {
  const readings = [5, 2 ** 32 - 1, 3, 3];
  const counter = new DropCounter(() => readings.shift() ?? 0);
  expect([counter.total(), counter.total(), counter.total(), counter.total()]).toEqual([
    5,
    2 ** 32 - 1,
    2 ** 32 + 3,
    2 ** 32 + 3,
  ]);
});
