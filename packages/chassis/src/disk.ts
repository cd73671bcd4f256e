import { statfs } from 'node:fs/promises';
import type { HealthCheck } from './health.ts';

const MIB = 2 ** 20;

/** Whether the file system below a path has room left: warns below `leastBytes`, fails below a tenth of it. */
export const diskCheck = (what: string, path: string, leastBytes: number): HealthCheck => ({
  name: `disk:${what}`,
  check: async () => {
    const { bavail, bsize, ffree, files } = await statfs(path);
    const free = bavail * bsize;
    const seen = {
      observedValue: Math.floor(free / MIB),
      observedUnit: 'MiB free',
      threshold: Math.ceil(leastBytes / MIB),
    };
    // A file system without a fixed number of inodes says 0 of 0.
    if (files > 0 && ffree === 0)
      return { status: 'fail', ...seen, output: `no inode is free below ${path}; make room` };
    if (free >= leastBytes) return { status: 'pass', ...seen };
    const output = `${String(seen.observedValue)} MiB are free below ${path}; make room`;
    return { status: free < leastBytes / 10 ? 'fail' : 'warn', ...seen, output };
  },
});
