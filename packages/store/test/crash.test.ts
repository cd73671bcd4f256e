import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFsStore } from '@sluice/store';
import { afterAll, describe, expect, it } from 'vitest';
import { blobOf, digestOf, packOf } from './blobs.ts';

const base = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

const COUNT = 300;
const WRITER = join(import.meta.dirname, 'crash-writer.ts');
const named = (root: string): string[] => readdirSync(join(root, 'blobs/sha256'));
const written = (root: string): string[] => readdirSync(join(root, 'tmp/tester'));

/** A program `sync` of our own in front of the real one: a shell script that knows the writer as $PPID. */
function syncBy(script: string): NodeJS.ProcessEnv {
  const directory = mkdtempSync(join(base, 'bin-'));
  writeFileSync(join(directory, 'sync'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, 'sync'), 0o755);
  return { ...process.env, PATH: `${directory}:${String(process.env.PATH)}` };
}

function newRoot(): string {
  const root = mkdtempSync(join(base, 'root-'));
  for (const path of ['blobs/sha256', 'tmp/tester']) mkdirSync(join(root, path), { recursive: true });
  return root;
}

const store = (root: string, env: NodeJS.ProcessEnv, count = COUNT) =>
  spawnSync(process.execPath, [WRITER, root, String(count)], { encoding: 'utf8', env });

/** What a store holds after its opening: every blob is what its name says. */
async function whole(root: string): Promise<number> {
  await openFsStore(root, 'tester');
  expect(written(root)).toEqual([]);
  const names = named(root);
  for (const name of names) expect(digestOf(readFileSync(join(root, 'blobs/sha256', name)))).toBe(`sha256:${name}`);
  return names.length;
}

describe('a batch of small blobs', () => {
  it('is all written before it is synced, and synced before the first name is given', () => {
    const root = newRoot();
    const seen = join(root, 'seen');
    const look = `echo "$*: $(ls ${root}/blobs/sha256 | wc -l) $(ls ${root}/tmp/tester | wc -l)" >> ${seen}`;
    expect(store(root, syncBy(look))).toMatchObject({ status: 0, stdout: 'open\nstored\n' });
    expect(readFileSync(seen, 'utf8')).toBe(`-f ${root}/tmp/tester: 0 ${String(COUNT)}\n`);
    expect(named(root)).toHaveLength(COUNT);
  });

  it.each([
    ['before the sync', 'kill -9 $PPID'],
    ['after the sync, before the first name', '/usr/bin/env -i PATH=/usr/bin:/bin sync "$@"; kill -9 $PPID'],
  ])('leaves no name when the process is killed %s, and is stored by the next', async (_when, script) => {
    const root = newRoot();
    expect(store(root, syncBy(script))).toMatchObject({ signal: 'SIGKILL', stdout: 'open\n' });
    expect(written(root)).toHaveLength(COUNT);
    expect(await whole(root)).toBe(0);
    expect(store(root, process.env)).toMatchObject({ status: 0 });
    expect(await whole(root)).toBe(COUNT);
  });

  it('leaves whole blobs only when the process is killed while names are given', async () => {
    const root = newRoot();
    const writer = spawn(process.execPath, [WRITER, root, '4000'], { stdio: 'ignore' });
    const gone = once(writer, 'exit');
    while (named(root).length === 0 && writer.exitCode === null) await new Promise(setImmediate);
    writer.kill('SIGKILL');
    await gone;
    expect(await whole(root)).toBeGreaterThan(0);
  });

  it('is not stored when the sync fails', async () => {
    const root = newRoot();
    const failed = store(root, syncBy('echo "no such luck" >&2; exit 1'));
    expect(failed).toMatchObject({ status: 1, stderr: expect.stringContaining('store-io') as string });
    expect(named(root)).toEqual([]);
    expect(await whole(root)).toBe(0);
  });

  it('is stored file by file where no program syncs a file system', async () => {
    const root = newRoot();
    expect(store(root, { ...process.env, PATH: base })).toMatchObject({ status: 0 });
    expect(await whole(root)).toBe(COUNT);
    const { digest, bytes } = blobOf(1000, 1);
    expect(await (await openFsStore(root)).readVerified(digest, 1000)).toEqual(bytes);
  });
});

describe('packs', () => {
  const listed = async (root: string): Promise<number> => {
    const store = await openFsStore(root, 'tester');
    let count = 0;
    for await (const { digest, size } of store.list()) {
      expect(digestOf(await store.readVerified(digest, size))).toBe(digest);
      count += 1;
    }
    return count;
  };

  it('are found whole, or not at all, wherever the process was killed; what it left goes with the next', async () => {
    const root = newRoot();
    const packs = join(root, 'packs/sha256');
    mkdirSync(packs, { recursive: true });
    const spool = mkdtempSync(join(base, 'spool-'));
    for (const until of [1, 3, 8]) {
      const writer = spawn(process.execPath, [WRITER, root, '400', spool], { stdio: 'ignore' });
      const gone = once(writer, 'exit');
      while (readdirSync(packs).length < until && writer.exitCode === null) await new Promise(setImmediate);
      writer.kill('SIGKILL');
      await gone;
      expect(await listed(root)).toBeGreaterThanOrEqual((until - 1) * 10);
    }
    // A name that the index does not have: the process was killed in between.
    writeFileSync(join(packs, 'ab'.repeat(32)), 'left');
    const store = await openFsStore(root, 'tester');
    await store.putPacks([packOf(spool, 5000, 5020)]);
    expect(readdirSync(packs)).not.toContain('ab'.repeat(32));
    expect(await store.stat(blobOf(5019, 5019).digest)).toBe(5019);
  });
});
