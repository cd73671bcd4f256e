import { spawn } from 'node:child_process';
import { type Digest, OperationalError } from '@sluice/ports';

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

/** Ends the gate and what it started: all of its process group. */
function end(group: number | undefined): void {
  if (group === undefined) return;
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    // All of it has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Runs one gate: the release envelope on standard input, bundle id and channel in the environment. It has ended once nobody
 * holds its output any more. @throws OperationalError `gate-unavailable` when it cannot be started: that is no verdict
 */
async function runGate(gate: Gate, subject: GateSubject): Promise<GateVerdict> {
  const [program, ...args] = gate.command;
  if (program === undefined) throw new Error('a gate without a command');
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    // A process group of its own, so that what it started ends with it.
    detached: true,
    env: { PATH: process.env.PATH, SLUICE_BUNDLE: subject.bundle, SLUICE_CHANNEL: subject.channel },
  });
  const said: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    if (bytes < SAID_MAX) said.push(chunk);
    bytes += chunk.length;
  });
  // A gate need not read its input: EPIPE says nothing about its verdict.
  child.stdin.on('error', () => undefined);
  child.stdin.end(subject.release);
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      end(child.pid);
    }, gate.timeoutMs);
    child.once('error', (cause) => {
      clearTimeout(timer);
      const why = `gate ${gate.name} cannot be started (${cause.message}); mend its command`;
      reject(new OperationalError('gate-unavailable', why, { retryable: true, cause }));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      const line = Buffer.concat(said).toString('utf8').slice(0, SAID_MAX).split('\n')[0] ?? '';
      const ended = code === null ? `ended by ${String(signal)}` : line;
      const verdict = late ? `did not end within ${String(gate.timeoutMs)} ms` : ended;
      resolve({ gate: gate.name, passed: code === 0 && !late, said: verdict });
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
