import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, type HashedFile, hexOf, type Staging } from '@sluice/ports';
import { openFsStore, openStaging } from '@sluice/store';
import { afterAll, describe, expect, it } from 'vitest';
import { blobOf, digestOf } from './blobs.ts';

const base = mkdtempSync(join(tmpdir(), 'sluice-staging-'));
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

interface Subject {
  readonly staging: Staging;
  readonly root: string;
  readonly input: string;
  readonly named: () => string[];
  readonly leftovers: () => string[];
}

function open(root = mkdtempSync(join(base, 'root-'))): Subject {
  const staging = openStaging(root, 'tester');
  const input = mkdtempSync(join(base, 'input-'));
  const openFiles = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const path = readlinkSync(`/proc/self/fd/${fd}`);
        return path.startsWith(root) ? [path] : [];
      } catch {
        // Closed since it was listed.
        return [];
      }
    });
  return {
    staging,
    root,
    input,
    named: () => readdirSync(join(root, 'blobs/sha256')).sort(),
    leftovers: () => [...readdirSync(join(root, 'tmp/tester')), ...openFiles()],
  };
}

const SIZE = 300_000;
const long = (seed: number): Buffer => Buffer.from(blobOf(SIZE, seed).bytes);

/** Takes a file as an intake does: open, hashed, closed. */
async function take(staging: Staging, path: string): Promise<Digest> {
  const bytes = readFileSync(path);
  const descriptor = openSync(path, 'r');
  const file: HashedFile = {
    digest: digestOf(bytes),
    size: bytes.length,
    descriptor,
    place: () => path,
    read: () => [readFileSync(path)],
  };
  await staging.take(file);
  closeSync(descriptor);
  return file.digest;
}

async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 70_001) yield await Promise.resolve(bytes.subarray(at, at + 70_001));
}

describe('a staging store', () => {
  it('names what was added, copied and taken with the commit, and nothing before', async () => {
    const { staging, root, input, named, leftovers } = open();
    writeFileSync(join(input, 'file'), long(1));
    const { ino } = statSync(join(input, 'file'));
    const added = await staging.add(long(0));
    const taken = await take(staging, join(input, 'file'));
    const copied = await staging.copy(stream(long(2)), () => true);
    expect([added, taken, copied]).toEqual([0, 1, 2].map((seed) => digestOf(long(seed))));
    expect(named()).toEqual([]);
    expect(existsSync(join(input, 'file'))).toBe(true);
    await staging.commit();
    expect(named()).toEqual([added, taken, copied].map(hexOf).sort());
    for (const digest of [added, taken, copied]) {
      expect(digestOf(readFileSync(join(root, 'blobs/sha256', hexOf(digest))))).toBe(digest);
      expect(digestOf(Buffer.concat([...staging.read(digest)]))).toBe(digest);
      expect(staging.holds(digest, SIZE)).toBe(true);
      expect(staging.holds(digest, SIZE + 1)).toBe(false);
    }
    expect(statSync(join(root, 'blobs/sha256', hexOf(taken))).ino).toBe(ino);
    expect(readdirSync(input)).toEqual([]);
    expect(leftovers()).toEqual([]);
    expect(digestOf(await (await openFsStore(root)).readVerified(taken, SIZE))).toBe(taken);
  });

  it('keeps nothing that was not committed, and leaves taken files where they are', async () => {
    const { staging, input, named, leftovers } = open();
    writeFileSync(join(input, 'file'), long(1));
    await staging.add(long(0));
    await take(staging, join(input, 'file'));
    expect(await staging.copy(stream(long(2)), () => false)).toBe(digestOf(long(2)));
    staging.discard();
    await staging.commit();
    expect(named()).toEqual([]);
    await expect.poll(leftovers).toEqual([]);
    expect(readdirSync(input)).toEqual(['file']);
  });

  it.each<[string, (path: string) => void]>([
    ['was written to', (path) => writeFileSync(path, long(9), { flag: 'r+' })],
    ['grew', (path) => writeFileSync(path, 'more', { flag: 'a' })],
    [
      'was exchanged',
      (path) => {
        writeFileSync(`${path}.new`, long(9));
        renameSync(`${path}.new`, path);
      },
    ],
    ['has another name', (path) => execFileSync('ln', [path, `${path}.link`])],
  ])('refuses a file that %s since it was hashed, and leaves it where it is', async (_what, change) => {
    const { staging, input, named, leftovers } = open();
    const path = join(input, 'file');
    writeFileSync(path, long(1));
    utimesSync(path, 1, 1);
    await take(staging, path);
    change(path);
    const before = readFileSync(path);
    await expect(staging.commit()).rejects.toMatchObject({ code: 'store-digest-mismatch', retryable: false });
    expect(named()).toEqual([]);
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
    await expect.poll(leftovers).toEqual([]);
  });

  it('knows when a blob was written to by a descriptor that was kept open, and lets it go', async () => {
    const { staging, input, named } = open();
    writeFileSync(join(input, 'file'), long(1));
    const writer = openSync(join(input, 'file'), 'r+');
    const digest = await take(staging, join(input, 'file'));
    await staging.commit();
    expect(staging.holds(digest, SIZE)).toBe(true);
    // The same bytes again: only reading tells.
    writeSync(writer, long(1));
    expect(staging.holds(digest, SIZE)).toBe(true);
    writeSync(writer, 'x', 100);
    closeSync(writer);
    expect(staging.holds(digest, SIZE)).toBe(false);
    expect(named()).toEqual([]);
  });

  it('throws away at its opening what a crash left', async () => {
    const { staging, root } = open();
    await staging.add(long(0));
    const { leftovers } = open(root);
    await expect.poll(leftovers).toEqual([]);
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env.CI === 'true') throw new Error('mounting a small file system needs root');

describe.skipIf(!isRoot)(`a staging store on another file system${isRoot ? '' : ': mounting needs root'}`, () => {
  const small = join(base, 'small');
  mkdirSync(small);
  if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  afterAll(() => {
    execFileSync('umount', [small]);
  });

  it('says so, and copies what it takes', async () => {
    const { staging, input, named, leftovers } = open(small);
    expect(staging.canTakeFrom(input)).toBe(false);
    const home = join(small, 'home');
    mkdirSync(home);
    expect(staging.canTakeFrom(home)).toBe(true);
    expect(readdirSync(home)).toEqual([]);
    expect(readdirSync(input)).toEqual([]);
    writeFileSync(join(input, 'file'), long(1));
    const digest = await take(staging, join(input, 'file'));
    await staging.commit();
    expect(named()).toEqual([hexOf(digest)]);
    expect(readdirSync(input)).toEqual(['file']);
    expect(leftovers()).toEqual([]);
  });

  it('says when it is full, and goes on when there is room', async () => {
    const { staging, leftovers } = open(small);
    const full = { code: 'store-full', retryable: true };
    const { bytes } = blobOf(2 ** 21);
    await expect(staging.add(bytes)).rejects.toMatchObject(full);
    await expect(staging.copy(stream(bytes), () => true)).rejects.toMatchObject(full);
    expect(leftovers()).toEqual([]);
    execFileSync('mount', ['-o', 'remount,size=8m', small]);
    const digest = await staging.add(bytes);
    await staging.commit();
    expect(staging.holds(digest, bytes.length)).toBe(true);
  });
});
