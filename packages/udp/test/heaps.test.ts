import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

// A thousand pieces of 64 KiB, of which every twentieth stays: what was freed lies between what stays.
const PROGRAM = `
  const { trimHeaps } = await import(${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))});
  const mib = () => process.memoryUsage.rss() / 2 ** 20;
  const took = async (act) => { const before = mib(); await act(); return Math.round(before - mib()); };
  await trimHeaps();
  let all = Array.from({ length: 1000 }, () => new Uint8Array(65_536).fill(1));
  const kept = all.filter((_, i) => i % 20 === 0);
  all = undefined;
  for (let i = 0; i < 3; i += 1) gc();
  const trimmed = await took(trimHeaps);
  const same = kept.every((piece) => piece.every((byte) => byte === 1));
  console.log(JSON.stringify({ kept: kept.length, same, trimmed }));
`;

it('trimHeaps gives back what lies free between what stays', () => {
  const argv = ['--expose-gc', '--input-type=module', '-e', PROGRAM];
  const env = { ...process.env, MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' };
  const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', env });
  expect(stderr).toBe('');
  const { kept, same, trimmed } = JSON.parse(stdout) as { kept: number; same: boolean; trimmed: number };
  expect([kept, same]).toEqual([50, true]);
  expect(trimmed).toBeGreaterThan(30);
});
