import { spawn } from 'node:child_process';
import type { Digest } from '@sluice/ports';

/** An external command that has a say before a bundle is published. Exit status 0 lets it through. */
export interface Gate {
  readonly name: string;
  /** Program and arguments; started without a shell. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

export interface GateVerdict {
  readonly gate: string;
  readonly passed: boolean;
  /** First line of its output, cut. Hostile text: print it through a sink. */
  readonly said: string;
}

export interface GateSubject {
  readonly bundle: Digest;
  readonly channel: string;
  readonly release: Uint8Array;
}

const SAID_MAX = 512;

/** Runs one gate: the release envelope on standard input, bundle id and channel in the environment. */
async function runGate(gate: Gate, subject: GateSubject): Promise<GateVerdict> {
  const [program, ...args] = gate.command;
  if (program === undefined) throw new Error('a gate without a command');
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: gate.timeoutMs,
    killSignal: 'SIGKILL',
    env: { PATH: process.env.PATH, SLUICE_BUNDLE: subject.bundle, SLUICE_CHANNEL: subject.channel },
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (said.length < SAID_MAX) said = (said + chunk.toString('utf8')).slice(0, SAID_MAX);
  });
  // A gate need not read its input: EPIPE says nothing about its verdict.
  child.stdin.on('error', () => undefined);
  child.stdin.end(subject.release);
  return new Promise((resolve) => {
    const settle = (passed: boolean, text: string): void => {
      resolve({ gate: gate.name, passed, said: (text.split('\n')[0] ?? '').slice(0, SAID_MAX) });
    };
    child.once('error', (error) => {
      settle(false, `could not be started: ${error.message}`);
    });
    child.once('close', (code, signal) => {
      settle(code === 0, code === null ? `ended by ${String(signal)}` : said);
    });
  });
}

/** All gates in their order, up to the first that refuses. */
export async function runGates(gates: readonly Gate[], subject: GateSubject): Promise<readonly GateVerdict[]> {
  const verdicts: GateVerdict[] = [];
  for (const gate of gates) {
    const verdict = await runGate(gate, subject);
    verdicts.push(verdict);
    if (!verdict.passed) break;
  }
  return verdicts;
}
