import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judge, type Summary } from '../summary.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('the verdict on a run', () => {
  const skips = [{ name: 'a.test.ts: one', reason: 'needs root' }];
  const here = { ci: false, allowed: [] };
  const ci = { ci: true, allowed: [] };

  it.each([
    [{ passed: 3, failed: 0, skips: [] }, 0, here, '3 passed, 0 failed, 0 skipped', true],
    [{ passed: 3, failed: 1, skips: [] }, 1, here, '3 passed, 1 failed, 0 skipped', false],
    [{ passed: 3, failed: 0, skips }, 0, here, '3 passed, 0 failed, 1 skipped', true],
    [{ passed: 3, failed: 0, skips }, 0, ci, '3 passed, 1 failed, 0 skipped', false],
    [
      { passed: 3, failed: 0, skips },
      0,
      { ci: true, allowed: ['a.test.ts: one'] },
      '3 passed, 0 failed, 1 skipped',
      true,
    ],
    [{ passed: 3, failed: 0, skips }, 0, { ci: true, allowed: ['needs root'] }, '3 passed, 0 failed, 1 skipped', true],
    [{ passed: 0, failed: 0, skips: [] }, 0, here, '0 passed, 1 failed, 0 skipped', false],
    [{ passed: 3, failed: 0, skips: [] }, 1, here, '3 passed, 1 failed, 0 skipped', false],
    [{ passed: 3, failed: 0, skips: [] }, null, here, '3 passed, 1 failed, 0 skipped', false],
    [undefined, 1, here, '0 passed, 1 failed, 0 skipped', false],
  ])('%j with status %s, %j: %s', (summary, status, options, line, success) => {
    const verdict = judge(summary, status, options);
    expect([verdict.line, verdict.success]).toEqual([line, success]);
  });

  it('names each skipped test with its reason', () => {
    expect(judge({ passed: 3, failed: 0, skips }, 0, here).notes).toEqual(['skipped: a.test.ts: one: needs root']);
    expect(judge({ passed: 3, failed: 0, skips }, 0, ci).notes).toEqual([
      'skipped, which CI does not allow: a.test.ts: one: needs root',
    ]);
  });
});

describe('the reporter', () => {
  it('counts passed, failed and skipped tests, files that do not load, and errors outside tests', () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-summary-'));
    const file = join(directory, 'summary.json');
    const write = (name: string, text: string): void => {
      writeFileSync(
        join(directory, name),
        `import { describe, it, expect, beforeAll } from '${ROOT}/node_modules/vitest/dist/index.js';\n${text}`,
      );
    };
    write(
      'a.test.ts',
      "it('good', () => {}); it('bad', () => { expect(1).toBe(2); }); it('not here', ({ skip }) => { skip('needs root'); }); it.skip('silent', () => {});",
    );
    write('b.test.ts', "throw new Error('does not load');");
    write(
      'c.test.ts',
      "it('late', async () => { void Promise.reject(new Error('nobody caught it')); await new Promise(setImmediate); });",
    );
    write(
      'd.test.ts',
      "describe('hook', () => { beforeAll(() => { throw new Error('no'); }); it('never', () => {}); });",
    );
    const config = `export default { test: { reporters: ['${ROOT}/test/summary-reporter.ts'] } };`;
    writeFileSync(join(directory, 'vitest.config.ts'), config);
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, SLUICE_TEST_SUMMARY: file };
    const run = spawnSync(join(ROOT, 'node_modules/.bin/vitest'), ['run', '--root', directory], {
      env,
      encoding: 'utf8',
    });
    expect(run.status).toBe(1);
    const summary = JSON.parse(readFileSync(file, 'utf8')) as Summary;
    rmSync(directory, { recursive: true });
    expect(summary).toMatchObject({ passed: 2, failed: 4 });
    expect([...summary.skips].sort((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: 'a.test.ts: not here', reason: 'needs root' },
      { name: 'a.test.ts: silent', reason: 'no reason stated' },
      { name: 'd.test.ts: hook > never', reason: 'no reason stated' },
    ]);
  });
});
