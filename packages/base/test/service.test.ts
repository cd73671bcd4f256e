import { mkdtempSync, rmSync } from 'node:fs';
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OperationalError } from '@sluice/ports';
import {
  createJsonLogger,
  createNotifier,
  EXIT,
  installShutdown,
  listenFds,
  notifyByProgram,
  startWatchdog,
  systemClock,
} from '../src/index.ts';
import type { ProcessEvents, Shutdown, ShutdownOptions } from '../src/index.ts';

describe('the notifier', () => {
  const env = { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '3000000', WATCHDOG_PID: '42' };

  it('sends what is said in one turn as one message, the latest of each kind', async () => {
    const sent: string[] = [];
    const notifier = createNotifier({ env, send: (path, message) => void sent.push(`${path} ${message}`) });
    notifier.reloading();
    notifier.status('one');
    notifier.ready();
    notifier.status('two\nREADY=1');
    await notifier.flush();
    notifier.stopping();
    await notifier.flush();
    expect(sent).toEqual(['/run/notify STATUS=two READY=1\nREADY=1', '/run/notify STOPPING=1']);
    notifier.reloading();
    await notifier.flush();
    expect(sent[2]).toMatch(/^\/run\/notify RELOADING=1\nMONOTONIC_USEC=\d+$/);
  });

  it('reports a sender that throws, and goes on', async () => {
    const errors: unknown[] = [];
    let broken = true;
    const sent: string[] = [];
    const send = (_: string, message: string): void => {
      if (broken) throw new Error('gone');
      sent.push(message);
    };
    const notifier = createNotifier({ env, send, onError: (error) => errors.push(error) });
    notifier.ready();
    await notifier.flush();
    broken = false;
    notifier.watchdog();
    await notifier.flush();
    expect(errors).toHaveLength(1);
    expect(sent).toEqual(['WATCHDOG=1']);
  });

  it('does nothing without NOTIFY_SOCKET', async () => {
    const send = vi.fn();
    const notifier = createNotifier({ env: { WATCHDOG_USEC: '1000' }, send });
    notifier.ready();
    notifier.watchdog();
    await notifier.flush();
    expect(send).not.toHaveBeenCalled();
    expect(notifier.watchdogUs).toBeUndefined();
  });

  it('takes the watchdog time only when it is meant for this process', () => {
    expect(createNotifier({ env, pid: 42 }).watchdogUs).toBe(3_000_000);
    expect(createNotifier({ env, pid: 43 }).watchdogUs).toBeUndefined();
    expect(createNotifier({ env: { ...env, WATCHDOG_USEC: '0' }, pid: 42 }).watchdogUs).toBeUndefined();
  });

  it('reaches a real datagram socket through the systemd-notify program', async ({ skip }) => {
    skip(!hasProgram('systemd-notify') || !hasProgram('python3'), 'systemd-notify or python3 is not installed');
    const directory = mkdtempSync(join(tmpdir(), 'sluice-notify-'));
    const path = join(directory, 's');
    const script = `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('bound',flush=True)
d,_,_,_=s.recvmsg(4096,1024); print(d.decode().strip().replace(chr(10),' '),flush=True)`;
    const listener = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let heard = '';
    listener.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    await once(listener.stdout, 'data');
    const ended = once(listener, 'close');
    await Promise.allSettled([notifyByProgram(path, 'READY=1\nSTATUS=all well'), ended]);
    rmSync(directory, { recursive: true });
    expect(heard).toContain('READY=1 STATUS=all well');
  });
});

const hasProgram = (name: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`]);
    return true;
  } catch {
    return false;
  }
};

describe('the watchdog', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is petted only while there is progress, and tells of a stall once', async () => {
    let progress = true;
    let pets = 0;
    let stalls = 0;
    const notifier = createNotifier({
      env: { NOTIFY_SOCKET: 'x', WATCHDOG_USEC: '3000000' },
      send: () => void (pets += 1),
    });
    const watchdog = startWatchdog(notifier, { progress: () => progress, onStall: () => void (stalls += 1) });
    await vi.advanceTimersByTimeAsync(3000);
    expect(pets).toBe(3);
    progress = false;
    await vi.advanceTimersByTimeAsync(3000);
    expect([pets, stalls]).toEqual([3, 1]);
    progress = true;
    await vi.advanceTimersByTimeAsync(1000);
    expect(pets).toBe(4);
    watchdog.stop();
    await vi.advanceTimersByTimeAsync(3000);
    expect(pets).toBe(4);
  });

  it('does nothing when the unit sets none', () => {
    startWatchdog(createNotifier({ env: {} }), { progress: () => true });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('sockets handed in', () => {
  it('are listed with their names and taken from the environment', () => {
    const env = { LISTEN_FDS: '2', LISTEN_PID: '42', LISTEN_FDNAMES: 'link:control', OTHER: '1' };
    expect(listenFds(env, 42)).toEqual([
      { fd: 3, name: 'link' },
      { fd: 4, name: 'control' },
    ]);
    expect(env).toEqual({ OTHER: '1' });
    expect(listenFds({ LISTEN_FDS: '1' }, 42)).toEqual([{ fd: 3, name: 'unknown' }]);
  });

  it('of another process, or none, are none', () => {
    expect(listenFds({}, 42)).toEqual([]);
    const env = { LISTEN_FDS: '1', LISTEN_PID: '43' };
    expect(listenFds(env, 42)).toEqual([]);
    expect(env.LISTEN_FDS).toBe('1');
  });

  it.each([{ LISTEN_FDS: 'x' }, { LISTEN_FDS: '-1' }, { LISTEN_FDS: '65' }, { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a' }])(
    'that make no sense are refused: %o',
    (env) => {
      expect(() => listenFds({ ...env })).toThrow(expect.objectContaining({ code: 'listen-fds' }));
    },
  );
});

class FakeProcess implements ProcessEvents {
  readonly handlers = new Map<string, (value: unknown) => void>();
  readonly exits: number[] = [];
  on(event: string, listener: (value: unknown) => void): void {
    this.handlers.set(event, listener);
  }
  off(event: string): void {
    this.handlers.delete(event);
  }
  exit(status: number): void {
    this.exits.push(status);
  }
  emit(event: string, value: unknown): void {
    this.handlers.get(event)?.(value);
  }
}

describe('the shutdown', () => {
  const lines: string[] = [];
  const setUp = (options: Partial<ShutdownOptions> = {}): { host: FakeProcess; shutdown: Shutdown } => {
    lines.length = 0;
    const host = new FakeProcess();
    const logger = createJsonLogger('test', { write: (line) => lines.push(line) });
    return { host, shutdown: installShutdown({ logger, process: host, ...options }) };
  };

  it('stops in reverse order, one step after the other, then exits 0', async () => {
    const sent: string[] = [];
    const notifier = createNotifier({ env: { NOTIFY_SOCKET: 'x' }, send: (_, message) => void sent.push(message) });
    const { host, shutdown } = setUp({ notifier });
    const order: string[] = [];
    shutdown.add('ledger', () => void order.push('ledger'));
    shutdown.add('http', async () => {
      order.push('http begins');
      await Promise.resolve();
      order.push('http ends');
    });
    host.emit('SIGTERM', 'SIGTERM');
    await shutdown.stop('again');
    expect(order).toEqual(['http begins', 'http ends', 'ledger']);
    expect([host.exits, sent, shutdown.signal.aborted]).toEqual([[EXIT.ok], ['STOPPING=1'], true]);
  });

  it('goes on after a step that fails, and exits 1', async () => {
    const { host, shutdown } = setUp();
    let ran = false;
    shutdown.add('first', () => void (ran = true));
    shutdown.add('second', () => Promise.reject(new Error('no')));
    await shutdown.stop('test');
    expect([ran, host.exits]).toEqual([true, [EXIT.failed]]);
    expect(lines.join('')).toContain('"step":"second"');
  });

  it('exits 75 and names the step that hangs beyond the deadline', async () => {
    vi.useFakeTimers();
    const { host, shutdown } = setUp({ deadlineMs: 500 });
    shutdown.add('stuck', () => new Promise(() => undefined));
    void shutdown.stop('test');
    await vi.advanceTimersByTimeAsync(500);
    vi.useRealTimers();
    expect(host.exits).toEqual([EXIT.stuck]);
    expect(lines.at(-1)).toContain('"step":"stuck"');
  });

  it('exits at once on a second signal', () => {
    const { host, shutdown } = setUp();
    shutdown.add('stuck', () => new Promise(() => undefined));
    host.emit('SIGINT', 'SIGINT');
    host.emit('SIGTERM', 'SIGTERM');
    expect(host.exits).toEqual([143]);
  });

  it.each(['uncaughtException', 'unhandledRejection'])('crashes with 70 on %s, without running the steps', (event) => {
    const { host, shutdown } = setUp();
    const step = vi.fn();
    shutdown.add('step', step);
    host.emit(event, new Error('a bug'));
    expect(host.exits).toEqual([EXIT.crash]);
    expect(lines.at(-1)).toContain('a bug');
    expect(step).not.toHaveBeenCalled();
    shutdown.uninstall();
    expect(host.handlers.size).toBe(0);
  });

  it('ends with 1, and blames nobody, when a failure of the world was not caught', () => {
    const { host } = setUp();
    host.emit('uncaughtException', new OperationalError('ledger-full', 'the disk is full', { retryable: true }));
    expect(host.exits).toEqual([EXIT.failed]);
    expect(lines.at(-1)).toContain('"code":"ledger-full"');
    expect(lines.at(-1)).not.toContain('mistake');
  });
});

describe('the clock', () => {
  it('is monotonic and gives whole seconds', () => {
    const before = systemClock.monotonicNs();
    expect(systemClock.monotonicNs() >= before).toBe(true);
    expect(systemClock.monotonicMs()).toBeGreaterThan(0);
    expect(Number.isInteger(systemClock.wallSeconds())).toBe(true);
  });
});
