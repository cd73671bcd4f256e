// `pnpm test [ARGS for vitest]`: every test. The last line on standard output is `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judge, type Summary } from './summary.ts';

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'sluice-test-'));
const file = join(scratch, 'summary.json');

function readSummary(): Summary | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Summary;
  } catch (error) {
    console.error(`test: no summary: ${String(error)}`);
    return undefined;
  }
}

const args = process.argv.slice(2).filter((arg, index) => index > 0 || arg !== '--');
const { status } = spawnSync(join(root, 'node_modules/.bin/vitest'), ['run', ...args], {
  cwd: root,
  env: { ...process.env, SLUICE_TEST_SUMMARY: file },
  stdio: 'inherit',
});
const allowed = JSON.parse(readFileSync(join(root, 'test/allowed-skips.json'), 'utf8')) as string[];
const verdict = judge(readSummary(), status, { ci: process.env.CI === 'true', allowed });
rmSync(scratch, { recursive: true });
for (const note of verdict.notes) console.log(note);
console.log(verdict.line);
process.exitCode = verdict.success ? 0 : 1;
