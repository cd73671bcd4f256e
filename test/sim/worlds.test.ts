import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const MAIN = join(import.meta.dirname, '../../packages/testkit/src/sim/main.ts');
const WORLDS = 2000;
const TIMEOUT_MS = 1_200_000;

interface Answer {
  readonly status: number;
  readonly said: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** What `pnpm sim` answers, whatever its exit status. */
async function sim(...args: readonly string[]): Promise<Answer> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN, ...args, '--json']);
    return { status: 0, said: stderr, json: JSON.parse(stdout) as Answer['json'] };
  } catch (error) {
    const { code, stdout, stderr } = error as {
      readonly code: number;
      readonly stdout: string;
      readonly stderr: string;
    };
    return { status: code, said: stderr, json: JSON.parse(stdout) as Answer['json'] };
  }
}

it(
  `no rule is broken in ${String(WORLDS)} worlds, in which every kind of trouble occurs`,
  { timeout: TIMEOUT_MS },
  async () => {
    const { status, said, json } = await sim('--seeds', String(WORLDS));
    expect(said).toBe('');
    expect(json).toMatchObject({ worlds: WORLDS, violations: 0 });
    expect(status).toBe(0);
    for (const [fault, count] of Object.entries(json.faults as Record<string, number>)) {
      expect(count, fault).toBeGreaterThan(0);
    }
  },
);

it('every planted bug is found', { timeout: TIMEOUT_MS }, async () => {
  const { status, json } = await sim('--plants', '--seeds', String(WORLDS));
  const missed = Object.entries(json.names as Record<string, unknown>).filter(([, found]) => found === null);
  expect(missed).toEqual([]);
  expect(status).toBe(0);
  expect(json.found).toBe(json.planted);
});
