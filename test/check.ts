// `pnpm check`: format, lint, types, purity and import direction. Runs all of them; one line for each.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);

const CHECKS: readonly (readonly [name: string, program: string, ...args: string[]])[] = [
  ['format', bin('prettier'), '--check', '--log-level', 'warn', '.'],
  ['lint', bin('eslint'), '--max-warnings', '0', '.'],
  ['types', bin('tsc'), '-p', 'tsconfig.json'],
  ['purity', bin('tsc'), '-p', 'tsconfig.pure.json'],
  ['page', bin('tsc'), '-p', 'tsconfig.page.json'],
  ['ranks', process.execPath, 'test/ranks.ts'],
];

/** Runs one check; true when it passed. What it said is shown only when it failed. */
function run([name, program, ...args]: (typeof CHECKS)[number]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', reject);
    child.on('close', (status) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (status !== 0) process.stdout.write(Buffer.concat(output));
      console.log(`check: ${name} ${status === 0 ? 'ok' : 'FAILED'} (${seconds} s)`);
      resolve(status === 0);
    });
  });
}

const results = await Promise.all(CHECKS.map(run));
process.exitCode = results.every(Boolean) ? 0 : 1;
