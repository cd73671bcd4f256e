import fs, { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, type HashedFile, hexOf } from '@sluice/ports';
import { openStaging } from '@sluice/store';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { digestOf } from './blobs.ts';

const base = mkdtempSync(join(tmpdir(), 'sluice-staging-'));
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});
afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

/** A file of an input that is about to be taken over. */
function input() {
  const root = mkdtempSync(join(base, 'root-'));
  const path = join(mkdtempSync(join(base, 'input-')), 'large.bin');
  const bytes = Buffer.alloc(300_000, 7);
  writeFileSync(path, bytes);
  const digest: Digest = digestOf(bytes);
  const descriptor = openSync(path, 'r');
  const file: HashedFile = { digest, size: bytes.length, descriptor, place: () => path, read: () => [bytes] };
  return { root, path, bytes, digest, file, named: join(root, 'blobs/sha256', hexOf(digest)) };
}

/** The rename that gives a file of an input its name in the store does not come about. */
function failNaming(how: () => void): void {
  const rename = fs.renameSync;
  vi.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
    if (String(to).includes('/blobs/sha256/')) how();
    rename(from, to);
  });
  syncBuiltinESMExports();
}

describe('a file of an input that was on its way into the staging store', () => {
  it('is where it was when the disk gives it no name', async () => {
    const { root, path, bytes, file } = input();
    const staging = openStaging(root, 'intake');
    await staging.take(file);
    failNaming(() => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'rename' });
    });
    await expect(staging.commit()).rejects.toMatchObject({ code: 'store-full' });
    closeSync(file.descriptor);
    // What the next try, or the operator, finds.
    expect(existsSync(path) && readFileSync(path).equals(bytes)).toBe(true);
  });

  it('is not lost where the process ends between its two names', async () => {
    const { root, path, bytes, digest, file, named } = input();
    const staging = openStaging(root, 'intake');
    await staging.take(file);
    // As of a kill: nothing more is done by this one.
    const killed = new Error('killed');
    let dead = false;
    const rename = fs.renameSync;
    vi.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
      if (dead || String(to).includes('/blobs/sha256/')) {
        dead = true;
        throw killed;
      }
      rename(from, to);
    });
    vi.spyOn(fs, 'rmSync').mockImplementation(() => {
      throw killed;
    });
    syncBuiltinESMExports();
    await staging.commit().catch(() => undefined);
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    closeSync(file.descriptor);
    const again = openStaging(root, 'intake');
    const place = [path, named].find(existsSync);
    expect(place !== undefined && readFileSync(place).equals(bytes)).toBe(true);
    expect(existsSync(path) || again.holds(digest, bytes.length)).toBe(true);
  });
});
