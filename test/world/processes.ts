import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Below those that the kernel gives to whoever asks for any: none of these is taken between our look and our use. */
const [PORTS_FROM, PORTS] = [12_000, 20_000];

/** A TCP port of the loopback interface that is free now, and its UDP twin, as far as anybody can tell. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS_FROM + Math.floor(Math.random() * PORTS);
    const server = createServer();
    const datagrams = createSocket('udp4');
    const free = await Promise.all([
      once(server.listen(port, '127.0.0.1'), 'listening'),
      new Promise((resolve, reject) =>
        datagrams.once('error', reject).bind(port, '127.0.0.1', () => resolve(undefined)),
      ),
    ]).then(
      () => true,
      () => false,
    );
    await new Promise((resolve) => server.close(resolve));
    try {
      datagrams.close();
    } catch {
      // It never was open.
    }
    if (free) return port;
  }
}

/** Waits until `holds` gives something, and says what it waited for when it does not come in time. */
export async function until<T>(
  what: string,
  deadlineMs: number,
  holds: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await holds();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${String(deadlineMs)} ms for ${what}`);
    await delay(50);
  }
}

/** The relay that loses, doubles and reorders datagrams, as a program. */
export const NODE_RELAY = [process.execPath, join(import.meta.dirname, '../rig/relay.ts')];

const running = new Set<Program>();
// Whatever way this process ends, what it started ends with it.
process.once('exit', () => {
  for (const program of running) program.kill();
});

/** A program that we started, its output in a file. */
export class Program {
  readonly name: string;
  readonly log: string;
  readonly #child: ChildProcess;

  constructor(name: string, argv: readonly string[], log: string, env: NodeJS.ProcessEnv = process.env) {
    const [file, ...args] = argv;
    if (file === undefined) throw new Error('no program');
    this.name = name;
    this.log = log;
    const out = openSync(log, 'a');
    this.#child = spawn(file, args, { stdio: ['ignore', out, out], env });
    closeSync(out);
    running.add(this);
    this.#child.once('exit', () => running.delete(this));
    this.#child.once('error', () => running.delete(this));
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.name} did not start`);
    return pid;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  output(): string {
    return readFileSync(this.log, 'utf8');
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    if (!this.ended) this.#child.kill(signal);
  }

  /** Sends the signal and waits for the end; kills what does not end in time. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadlineMs = 10_000): Promise<void> {
    if (this.ended) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(() => {
      this.kill();
    }, deadlineMs);
    await gone;
    clearTimeout(timer);
  }

  /** Waits for a line of output that matches; fails with the end of the log when the program ends instead. */
  async line(pattern: RegExp, deadlineMs = 30_000): Promise<RegExpExecArray> {
    return until(`${this.name} to print ${String(pattern)}; its log is ${this.log}`, deadlineMs, () => {
      const match = pattern.exec(this.output());
      if (match !== null) return match;
      if (this.ended)
        throw new Error(`${this.name} ended with ${String(this.exitCode)}:\n${this.output().slice(-3000)}`);
      return undefined;
    });
  }
}

/** The JSON body of a GET, undefined when nobody answers. */
export async function getJson<T>(url: string): Promise<T | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(3000) });
    return (await response.json()) as T;
  } catch {
    return undefined;
  }
}
