import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { diodeMissing } from '../rig/diode.ts';
import type { Report } from './report.ts';

const run = promisify(execFile);
const absent = diodeMissing() ?? missing('redis-server', 'iperf3', 'udp-sender', 'tcpdump', 'strace', 'curl');

describe.skipIf(absent !== undefined)(`pnpm bench${absent === undefined ? '' : `: ${absent}`}`, () => {
  const dir = mkdtempSync('/var/tmp/sluice-bench-test-');
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });
  const bench = (...args: string[]) => run(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args]);

  it('measures a bundle over a link that loses, prints one JSON object, and leaves nothing behind', async () => {
    const small = ['--size', '4MiB', '--warm-up', '1MiB', '--rounds', '1'];
    const { stdout, stderr } = await bench('--json', '--only', 'loss.p1', '--rate', '200', '--dir', dir, ...small);
    const report = JSON.parse(stdout) as Report & { config: { partial: boolean; fileSystem: string } };
    expect(report.config).toMatchObject({ partial: true, size: '4MiB', rounds: 1, failures: {} });
    expect(report.loss.p1.linkGoodputMbps).toBeGreaterThan(0);
    expect(report.loss.p1.linkGoodputMbps).toBeLessThan(200);
    expect(report.loss.clean.linkGoodputMbps).toBeNull();
    expect(stderr).toContain('PARTIAL');
    expect(readdirSync(dir)).toEqual([]);
  });

  it('refuses to measure in memory', async () => {
    expect(existsSync('/dev/shm')).toBe(true);
    await expect(bench('--only', 'loopback.fast', '--dir', '/dev/shm')).rejects.toThrow('in memory');
  });
});
