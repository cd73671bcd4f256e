import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { planted } from '../src/sim/hooks.ts';
import { PLANTS } from '../src/sim/plants.ts';

const packages = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 120_000;

/** What `pnpm sim` says. */
async function sim(...args: readonly string[]): Promise<string> {
  const program = join(packages, 'testkit/src/sim/main.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args], { maxBuffer: 2 ** 26 });
  return stdout;
}

/** `pnpm sim` runs 2,000 unless it is told otherwise. */
const WORLDS = 100;
const WORLDS_MS = 600_000;

describe('the simulator', () => {
  it(`breaks no rule in ${String(WORLDS)} worlds`, { timeout: WORLDS_MS }, async () => {
    // A world that breaks one makes the exit status 1: its seed is in the error.
    const answer = JSON.parse(await sim('--seeds', String(WORLDS), '--json')) as Record<string, unknown>;
    expect(answer).toMatchObject({ worlds: WORLDS, violations: 0 });
  });

  it('tells the same story of a seed each time', { timeout: TIMEOUT_MS }, async () => {
    // Worlds with crashes, a loss of power, disks in trouble and a backup put back.
    for (const seed of ['4', '31', '77']) {
      const [once, again] = await Promise.all([sim('--seed', seed), sim('--seed', seed)]);
      expect(once.split('\n').length).toBeGreaterThan(20);
      expect(again).toBe(once);
    }
  });

  it('tells the same of a world, whatever worlds came before it', { timeout: TIMEOUT_MS }, async () => {
    const alone = JSON.parse(await sim('--seeds', '1', '--from', '12', '--json')) as Record<string, unknown>;
    const many = JSON.parse(await sim('--seeds', '12', '--json')) as Record<string, unknown>;
    const before = JSON.parse(await sim('--seeds', '11', '--json')) as Record<string, unknown>;
    const [all, eleven, one] = [many.faults, before.faults, alone.faults] as Record<string, number>[];
    for (const [name, n] of Object.entries(all ?? {})) expect(n, name).toBe((eleven?.[name] ?? 0) + (one?.[name] ?? 0));
  });

  it.each(PLANTS)('plant $name has its one place in the product', (plant) => {
    const source = readFileSync(join(packages, plant.file), 'utf8');
    expect(planted(source, plant)).not.toBe(source);
  });
});
