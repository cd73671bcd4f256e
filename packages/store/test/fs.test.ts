import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hexOf } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import { afterAll, describe, expect, it } from 'vitest';
import { blobOf, digestOf, packOf } from './blobs.ts';
import { contract, errorOf, MIB, streamOf, type Subject } from './contract.ts';

const base = mkdtempSync(join(tmpdir(), 'sluice-store-'));
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

/** Open files of this process that lie below a directory. */
const openFiles = (below: string): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      // The index stays open, for each read.
      return path.startsWith(below) && !path.endsWith('index.sqlite') ? [path] : [];
    } catch {
      // Closed since it was listed.
      return [];
    }
  });

interface Directory extends Subject {
  readonly root: string;
}

async function open(root = mkdtempSync(join(base, 'root-'))): Promise<Directory> {
  const store = await openFsStore(root, 'tester');
  return {
    store,
    root,
    scratch: mkdtempSync(join(base, 'scratch-')),
    exchange: async (digest, bytes) => {
      writeFileSync(join(root, 'blobs/sha256', hexOf(digest)), bytes);
      return Promise.resolve();
    },
    leftovers: () => Promise.resolve([...readdirSync(join(root, 'tmp/tester')), ...openFiles(root)]),
  };
}

describe('a store in a directory', () => {
  contract(open);

  it('throws away at its opening what a crash of the same writer left, and no work of another', async () => {
    const { root } = await open();
    await openFsStore(root, 'other');
    for (const name of ['tester', 'other']) writeFileSync(join(root, 'tmp', name, 'left'), 'left');
    const { store, leftovers } = await open(root);
    expect(await leftovers()).toEqual([]);
    expect(readdirSync(join(root, 'tmp/other'))).toEqual(['left']);
    const { digest, bytes } = blobOf(10);
    await store.put(digest, 10, bytes);
  });

  it('is not hurt when another process opens it in the middle of a put', async () => {
    const { store, root } = await open();
    const { digest, bytes } = blobOf(MIB);
    async function* slow(): AsyncGenerator<Uint8Array> {
      for await (const chunk of streamOf(bytes)) {
        await openFsStore(root, 'other');
        yield chunk;
      }
    }
    await store.put(digest, MIB, slow());
    expect(digestOf(await store.readVerified(digest, MIB))).toBe(digest);
  });

  it('closes every file, also of streams that were not read to the end', async () => {
    const { store, root } = await open();
    const { digest, bytes } = blobOf(3 * MIB);
    await store.put(digest, bytes.length, bytes);
    await store.read(digest);
    for await (const chunk of await store.read(digest)) {
      expect(chunk.length).toBe(MIB);
      break;
    }
    await errorOf(store.readVerified(digest, 1));
    expect(openFiles(root)).toEqual([]);
  });

  it('shares with its group: files to read, directories to write', async () => {
    const root = mkdtempSync(join(base, 'shared-'));
    chmodSync(root, 0o2770);
    const before = process.umask(0o007);
    try {
      const { store } = await open(root);
      const { digest, bytes } = blobOf(10);
      await store.put(digest, 10, bytes);
      const modeOf = (path: string): string => (statSync(join(root, path)).mode & 0o7777).toString(8);
      expect(modeOf(join('blobs/sha256', hexOf(digest)))).toBe('640');
      for (const path of ['blobs', 'blobs/sha256', 'tmp', 'tmp/tester']) expect(modeOf(path)).toBe('2770');
    } finally {
      process.umask(before);
    }
  });

  it('keeps a pack as it came, an archive to GNU tar, until its last blob is removed', async () => {
    const { store, scratch, root } = await open();
    const pack = packOf(scratch, 1, 4);
    await store.putPacks([pack]);
    const path = join(root, 'packs/sha256', hexOf(pack.digest));
    expect(readFileSync(path)).toEqual(readFileSync(pack.path));
    expect((statSync(path).mode & 0o777).toString(8)).toBe('640');
    expect((statSync(join(root, 'packs/index.sqlite')).mode & 0o777).toString(8)).toBe('640');
    const names = execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).split('\n').filter(Boolean).sort();
    expect(names).toEqual(pack.blobs.map(({ digest }) => `blobs/sha256/${hexOf(digest)}`).sort());
    expect(readdirSync(join(root, 'blobs/sha256'))).toEqual([]);
    for (const { digest } of pack.blobs.slice(1)) await store.remove(digest);
    expect(existsSync(path)).toBe(true);
    await store.remove(pack.blobs[0]?.digest ?? pack.digest);
    expect(existsSync(path)).toBe(false);
  });

  it('gives up a pack whose blobs all came again in others, and heals one that was damaged', async () => {
    const { store, scratch, root } = await open();
    const [small, large] = [packOf(scratch, 0, 10), packOf(scratch, 0, 20)];
    await store.putPacks([small]);
    await store.putPacks([large]);
    expect(readdirSync(join(root, 'packs/sha256'))).toEqual([hexOf(large.digest)]);
    const { digest, bytes } = blobOf(9, 9);
    writeFileSync(join(root, 'packs/sha256', hexOf(large.digest)), Buffer.alloc(large.size));
    expect(await errorOf(store.readVerified(digest, 9))).toMatchObject({ code: 'store-digest-mismatch' });
    await store.putPacks([large]);
    expect(await store.readVerified(digest, 9)).toEqual(bytes);
  });

  it('is read by another process while packs come in, and by one that may only read', async () => {
    const { store, scratch, root } = await open();
    const other = await openFsStore(root, 'other');
    const [first, second] = [packOf(scratch, 0, 10), packOf(scratch, 10, 20)];
    expect(await other.stat(blobOf(3, 3).digest)).toBeUndefined();
    for (const pack of [first, second]) {
      await store.putPacks([pack]);
      for (const { digest, bytes } of pack.blobs) expect(await other.readVerified(digest, 100)).toEqual(bytes);
    }
  });

  it('takes no link and no pipe for a blob', async () => {
    const { store, scratch, root } = await open();
    const { digest, bytes } = blobOf(10);
    writeFileSync(join(scratch, 'file'), bytes);
    symlinkSync(join(scratch, 'file'), join(scratch, 'link'));
    expect((await errorOf(store.adopt(digest, 10, join(scratch, 'link')))).code).toBe('store-io');
    execFileSync('mkfifo', [join(scratch, 'pipe')]);
    expect((await errorOf(store.adopt(digest, 0, join(scratch, 'pipe')))).code).toBe('store-digest-mismatch');
    symlinkSync(join(scratch, 'file'), join(root, 'blobs/sha256', hexOf(digest)));
    expect((await errorOf(store.readVerified(digest, 100))).code).toBe('store-digest-mismatch');
    const empty = blobOf(0).digest;
    execFileSync('mkfifo', [join(root, 'blobs/sha256', hexOf(blobOf(5).digest))]);
    expect((await errorOf(store.readVerified(blobOf(5).digest, 100))).code).toBe('store-digest-mismatch');
    expect(await store.stat(empty)).toBeUndefined();
  });

  it('says when there is no place for it', async () => {
    writeFileSync(join(base, 'file'), '');
    expect(await errorOf(openFsStore(join(base, 'file')))).toMatchObject({ code: 'store-io', retryable: true });
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env.CI === 'true') throw new Error('mounting a small file system needs root');

describe.skipIf(!isRoot)(`a store on a file system of its own${isRoot ? '' : ': mounting needs root'}`, () => {
  const small = join(base, 'small');
  mkdirSync(small);
  if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  afterAll(() => {
    execFileSync('umount', [small]);
  });

  it('says that the disk is full, keeps nothing, and goes on when there is room', async () => {
    const { store, leftovers, scratch } = await open(small);
    const { digest, bytes } = blobOf(2 * MIB);
    const full = { code: 'store-full', retryable: true };
    writeFileSync(join(scratch, 'file'), bytes);
    expect(await errorOf(store.put(digest, bytes.length, streamOf(bytes)))).toMatchObject(full);
    expect(await errorOf(store.putMany([{ digest, bytes }]))).toMatchObject(full);
    expect(await errorOf(store.adopt(digest, bytes.length, join(scratch, 'file')))).toMatchObject(full);
    expect(existsSync(join(scratch, 'file'))).toBe(true);
    expect(await store.stat(digest)).toBeUndefined();
    expect(await leftovers()).toEqual([]);
    execFileSync('mount', ['-o', 'remount,size=4m', small]);
    await store.adopt(digest, bytes.length, join(scratch, 'file'));
    expect(digestOf(await store.readVerified(digest, bytes.length))).toBe(digest);
    await store.remove(digest);
  });

  it('takes files in from another file system, and hashes them on the way', async () => {
    const { store, leftovers, scratch } = await open(small);
    const { digest, bytes } = blobOf(5000);
    const path = join(scratch, 'file');
    writeFileSync(path, Buffer.alloc(5000));
    expect((await errorOf(store.adopt(digest, 5000, path))).code).toBe('store-digest-mismatch');
    expect(await store.stat(digest)).toBeUndefined();
    writeFileSync(path, bytes);
    await store.adopt(digest, 5000, path);
    expect(existsSync(path)).toBe(false);
    expect(await store.readVerified(digest, 5000)).toEqual(bytes);
    expect(await leftovers()).toEqual([]);
  });
});
