import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import type { Digest } from '@sluice/ports';

/** From so many files on, one sync of the whole file system is cheaper than one for each. */
export const SYNC_WHOLE_FROM = 32;

/** The bytes given are not what the digest says. */
export class Mismatch extends Error {
  readonly digest: Digest;
  constructor(digest: Digest) {
    super(digest);
    this.digest = digest;
  }
}

export function syncPath(path: string, sync: (file: number) => void): void {
  const file = openSync(path, constants.O_RDONLY);
  try {
    sync(file);
  } finally {
    closeSync(file);
  }
}

/** syncfs(2) by the program that has it, since Node has not. False where that program is missing or may not be run. */
export function syncFileSystem(path: string): boolean {
  const { error, status, stderr } = spawnSync('sync', ['-f', path], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (error !== undefined) return false;
  if (status !== 0) throw Object.assign(new Error(`sync -f: ${stderr}`), { code: 'EIO', syscall: 'syncfs' });
  return true;
}
