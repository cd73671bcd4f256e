import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Result } from '@sluice/ports';
import { attachLines, Backoff, connectLines, encodeLine, listenUnix, serveLines } from '../src/index.ts';
import type { LineFault, LineServer, LineServerOptions } from '../src/index.ts';

interface Message {
  readonly n: number;
}
const parse = (value: unknown): Result<Message, string> =>
  typeof value === 'object' && value !== null && 'n' in value && typeof value.n === 'number'
    ? { ok: true, value: { n: value.n } }
    : { ok: false, error: 'a message has a number n' };

/** What the umask makes of a new file, seen before any test could have changed it. */
const modeOfNewFile = (): number => {
  const file = join(mkdtempSync(join(tmpdir(), 'sluice-umask-')), 'f');
  writeFileSync(file, '');
  const { mode } = statSync(file);
  rmSync(dirname(file), { recursive: true });
  return mode;
};
const modeBefore = modeOfNewFile();

let directory = '';
let path = '';
const closers: (() => Promise<void>)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-lines-'));
  path = join(directory, 's');
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  rmSync(directory, { recursive: true });
});

interface Served {
  readonly server: LineServer<Message>;
  readonly got: number[];
  readonly faults: LineFault[];
}
async function serve(options: Partial<LineServerOptions<Message, Message>> = {}): Promise<Served> {
  const got: number[] = [];
  const faults: LineFault[] = [];
  const server = await serveLines<Message, Message>({
    path,
    access: { mode: 0o660 },
    parse,
    onMessage: ({ n }) => void got.push(n),
    onFault: (fault) => faults.push(fault),
    ...options,
  });
  closers.push(() => server.close());
  return { server, got, faults };
}
async function raw(): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.resume();
  return socket;
}

describe('the line server', () => {
  it('takes messages however they are cut, in order', async () => {
    const { got } = await serve();
    const socket = await raw();
    for (const piece of ['{"n":1}\n{"n"', ':2', '}\n', '{"n":3}\n{"n":4}\n']) {
      socket.write(piece);
      await new Promise(setImmediate);
    }
    await vi.waitUntil(() => got.length === 4);
    expect(got).toEqual([1, 2, 3, 4]);
    socket.destroy();
  });

  it.each([
    ['{"n":\n', 'line-malformed', /JSON/],
    ['{"m":1}\n', 'line-refused', /a message has a number n/],
    [`{"n":1,"x":"${'x'.repeat(100)}"}\n`, 'line-too-long', /longer than 64 bytes/],
    ['x'.repeat(100), 'line-too-long', /longer than 64 bytes/],
  ])('closes the connection of a bad line and goes on: %s', async (text, code, detail) => {
    const { got, faults } = await serve({ lineBytesMax: 64 });
    const [bad, good] = [await raw(), await raw()];
    bad.on('error', () => undefined);
    bad.write(text);
    await once(bad, 'close');
    expect(faults).toEqual([{ code, detail: expect.stringMatching(detail) as string }]);
    good.write('{"n":7}\n');
    await vi.waitUntil(() => got.length === 1);
    good.destroy();
  });

  it('counts a line over all its pieces', async () => {
    const got: number[] = [];
    const faults: string[] = [];
    const stream = new PassThrough();
    const { closed } = attachLines<Message, Message>(stream, {
      parse,
      onMessage: ({ n }) => void got.push(n),
      onFault: ({ code }) => faults.push(code),
      lineBytesMax: 16,
    });
    // 8 and 9 bytes: neither piece is too long by itself.
    stream.write('{"n":1, ');
    await new Promise(setImmediate);
    stream.write('        }\n');
    await closed;
    expect([got, faults]).toEqual([[], ['line-too-long']]);
  });

  it('takes a line of exactly the limit', async () => {
    const line = '{"n":1}';
    const { got } = await serve({ lineBytesMax: line.length });
    const socket = await raw();
    socket.write(`${line}\n`);
    await vi.waitUntil(() => got.length === 1);
    socket.destroy();
  });

  it('reads the next line only when the one before is done with', async () => {
    const gate = Promise.withResolvers<undefined>();
    const begun: number[] = [];
    await serve({
      onMessage: async ({ n }) => {
        begun.push(n);
        await gate.promise;
      },
    });
    const socket = await raw();
    socket.write('{"n":1}\n{"n":2}\n');
    await vi.waitUntil(() => begun.length > 0);
    await new Promise(setImmediate);
    expect(begun).toEqual([1]);
    gate.resolve(undefined);
    await vi.waitUntil(() => begun.length === 2);
    socket.destroy();
  });

  it('refuses more connections than its limit', async () => {
    const { server } = await serve({ connectionsMax: 1 });
    const first = await raw();
    await vi.waitUntil(() => server.peers.size === 1);
    const second = connect(path);
    second.on('error', () => undefined);
    second.resume();
    await once(second, 'close');
    expect(server.peers.size).toBe(1);
    first.destroy();
  });
});

describe('the outgoing queue', () => {
  it('refuses what does not fit and keeps what it has', () => {
    const stream = new PassThrough({ highWaterMark: 1 });
    stream.cork();
    const peer = attachLines<Message, Message>(stream, { parse, onMessage: () => undefined, queueBytesMax: 20 });
    expect([peer.send({ n: 1 }), peer.send({ n: 2 }), peer.send({ n: 3 })]).toEqual([true, true, false]);
    expect(peer.queuedBytes()).toBe(16);
    stream.destroy();
  });

  it('takes a message beyond the line limit for a mistake', () => {
    expect(() => encodeLine({ text: 'x'.repeat(20) }, 16)).toThrow(/longer than the line limit/);
  });
});

describe('the line client', () => {
  it('queues until it is connected, says hello first, and comes back after a loss', async () => {
    const events: string[] = [];
    const client = connectLines<Message, Message>({
      path,
      parse,
      onMessage: ({ n }) => void events.push(`got ${n}`),
      hello: () => [{ n: 0 }],
      onConnect: () => events.push('connected'),
      onDisconnect: () => events.push('lost'),
      backoff: { firstMs: 1, maxMs: 4 },
    });
    closers.push(() => client.close());
    expect([client.connected, client.send({ n: 1 }), client.send({ n: 2 })]).toEqual([false, true, true]);
    const first = await serve({ onConnect: (peer) => peer.send({ n: 9 }) });
    await vi.waitUntil(() => first.got.length === 3 && events.includes('got 9'));
    expect(first.got).toEqual([0, 1, 2]);
    await first.server.close();
    await vi.waitUntil(() => events.includes('lost'));
    expect(client.send({ n: 3 })).toBe(true);
    const second = await serve();
    await vi.waitUntil(() => second.got.length === 2);
    expect(second.got).toEqual([0, 3]);
    expect(client.queuedBytes()).toBe(0);
  });

  it('refuses what does not fit its queue while there is no connection, and everything once closed', async () => {
    const client = connectLines<Message, Message>({ path, parse, onMessage: () => undefined, queueBytesMax: 16 });
    expect([client.send({ n: 1 }), client.send({ n: 2 }), client.send({ n: 3 })]).toEqual([true, true, false]);
    await client.close();
    expect(client.send({ n: 4 })).toBe(false);
  });

  it('writes what is queued before it closes', async () => {
    const { got } = await serve();
    const client = connectLines<Message, Message>({ path, parse, onMessage: () => undefined });
    await vi.waitUntil(() => client.connected);
    for (let n = 0; n < 1000; n += 1) client.send({ n });
    await client.close();
    await vi.waitUntil(() => got.length === 1000);
  });
});

describe('waits between attempts', () => {
  it('double up to the limit and begin anew after a success', () => {
    const backoff = new Backoff({ firstMs: 10, maxMs: 35 });
    expect([backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([10, 20, 35, 35]);
    backoff.reset();
    expect(backoff.next()).toBe(10);
  });
});

describe('a Unix socket', () => {
  it('has the mode asked for, under whatever umask, and leaves the umask alone', async () => {
    await serve({ access: { mode: 0o620 } });
    expect(statSync(path).mode & 0o777).toBe(0o620);
    expect(modeOfNewFile()).toBe(modeBefore);
  });

  it('takes the place of a stale socket file, but not of a served one or another file', async () => {
    const { server } = await serve();
    await expect(serve()).rejects.toMatchObject({ code: 'socket-in-use' });
    await server.close();
    const stale = createServer();
    // A process that is killed leaves its socket file; one that is renamed meanwhile is left by a graceful end too.
    await listenUnix(stale, `${path}2`, { mode: 0o600 });
    renameSync(`${path}2`, path);
    await new Promise((resolve) => stale.close(resolve));
    expect(statSync(path).isSocket()).toBe(true);
    await serve();
    writeFileSync(`${path}3`, 'precious');
    await expect(listenUnix(createServer(), `${path}3`, { mode: 0o600 })).rejects.toMatchObject({
      code: 'socket-path',
    });
  });

  it.each([
    ['a path beyond sockaddr_un', () => join(directory, 'x'.repeat(120)), undefined, 'socket-path'],
    ['a directory that is not there', () => join(directory, 'no', 's'), undefined, 'socket-path'],
    ['a group that is not there', () => path, 'no-such-group', 'socket-group'],
  ])('refuses %s in one sentence', async (_, where, group, code) => {
    const access = group === undefined ? { mode: 0o600 } : { mode: 0o600, group };
    await expect(listenUnix(createServer(), where(), access)).rejects.toMatchObject({ code });
  });

  it('names a directory that is not there as what lacks, not rights', async () => {
    await expect(listenUnix(createServer(), join(directory, 'no', 's'), { mode: 0o600 })).rejects.toThrow(
      `there is no directory ${join(directory, 'no')}; make it.`,
    );
  });
});
