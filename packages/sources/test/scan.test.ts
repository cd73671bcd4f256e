import { linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAll, Root } from '../src/beneath.ts';
import { DEFAULT_SCAN_LIMITS, scanDirectory, scanFile } from '../src/scan.ts';
import type { ScanLimits } from '../src/scan.ts';
import { busyboxLayout, codeOf, digestOf, HandLayout, put, run, scratch, valueOf } from './tools.ts';

const scan = async (directory: string, limits: Partial<ScanLimits> = {}): Promise<string> => {
  const scanned = await scanDirectory(directory, { ...DEFAULT_SCAN_LIMITS, ...limits });
  if (scanned.ok) scanned.value.root.close();
  return codeOf(scanned);
};

describe('real layouts', () => {
  it('finds directories, archives and plain files, at any depth', async () => {
    const bundle = put(scratch(), { 'release.dsse.json': '{}', 'etc/motd': 'hello', 'other.tar': 'no tar' });
    const layout = busyboxLayout(join(bundle, 'images/busybox'));
    run('skopeo', 'copy', '-q', `oci:${layout}:1.35`, `oci-archive:${join(bundle, 'busybox.tar')}:1.35`);
    run('tar', '-C', layout, '-cf', join(bundle, 'gnu.tar'), '.');
    const { root, release, layouts, files, unreadArchives } = valueOf(await scanDirectory(bundle));
    expect(release?.path).toBe('release.dsse.json');
    expect(files.map(({ path }) => path)).toEqual(['other.tar', 'etc/motd']);
    expect([...unreadArchives].map(([path, { code }]) => [path, code])).toEqual([['other.tar', 'tar-malformed']]);
    expect(layouts.map(({ path }) => path)).toEqual(['busybox.tar', 'gnu.tar', 'images/busybox']);
    for (const { index, blobs } of layouts) {
      expect(index.manifests[0]?.annotations['org.opencontainers.image.ref.name']).toBe('1.35');
      expect([...blobs.keys()]).toContain(index.manifests[0]?.digest);
      for (const [digest, location] of blobs) {
        expect(digestOf(readAll(root.read(location), location.size))).toBe(digest);
      }
    }
    root.close();
  });

  it('takes a layout at the top with its extra files, one archive alone, and a sparse layout', async () => {
    const top = put(scratch(), {});
    busyboxLayout(join(top, 'layout'));
    put(join(top, 'layout'), {
      'release.dsse.json': '{}',
      motd: 'x',
      'blobs/sha512/ab': 'x',
      'blobs/sha256/no-digest': 'x',
    });
    const scanned = valueOf(await scanDirectory(join(top, 'layout')));
    expect(scanned.release).toBeDefined();
    expect(scanned.files.map(({ path }) => path)).toEqual(['motd']);
    expect(scanned.layouts[0]?.blobs.size).toBeGreaterThan(2);
    scanned.root.close();

    run('tar', '-C', join(top, 'layout'), '-cf', join(top, 'one.tar'), '.');
    const one = valueOf(await scanFile(join(top, 'one.tar')));
    expect(one.layouts.map(({ path }) => path)).toEqual(['one.tar']);
    one.root.close();

    const sparse = put(scratch(), {
      'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
      'index.json': '{"schemaVersion":2,"manifests":[]}',
    });
    expect(await scan(sparse)).toBe('ok');
  });
});

describe('special files', () => {
  it('refuses links, hard links, fifos, sockets and devices', async () => {
    const symbolic = scratch();
    symlinkSync('/etc/passwd', join(symbolic, 'passwd'));
    expect(await scan(symbolic)).toBe('special-file');

    const directory = scratch();
    symlinkSync('/etc', join(directory, 'etc'));
    expect(await scan(directory)).toBe('special-file');
    const itself = join(scratch(), 'link');
    symlinkSync(directory, itself);
    expect(await scan(itself)).toBe('special-file');

    const hard = put(scratch(), { a: 'x' });
    linkSync(join(hard, 'a'), join(hard, 'b'));
    expect(await scan(hard)).toBe('special-file');

    const fifo = scratch();
    run('mkfifo', join(fifo, 'pipe'));
    expect(await scan(fifo)).toBe('special-file');

    const socket = scratch();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(socket, 's'), resolve));
    expect(await scan(socket)).toBe('special-file');
    server.close();

    const inLayout = busyboxLayout(join(scratch(), 'l'));
    symlinkSync('/etc/passwd', join(inLayout, 'blobs/sha256', 'ab'.repeat(32)));
    expect(await scan(inLayout)).toBe('special-file');
  });

  it('never leaves the root when a directory is exchanged for a link after the scan', () => {
    const outside = put(scratch(), { secret: 'secret' });
    const bundle = put(scratch(), { 'dir/secret': 'public' });
    const root = valueOf(Root.open(bundle));
    run('rm', '-r', join(bundle, 'dir'));
    symlinkSync(outside, join(bundle, 'dir'));
    expect(codeOf(root.openFile('dir/secret'))).toBe('special-file');
    expect(() => root.readWhole({ path: 'dir/secret', offset: 0, size: 6 })).toThrow('symbolic link');
    root.close();
  });
});

describe('limits and names', () => {
  it('bundle-too-large', async () => {
    const bundle = put(scratch(), { 'a/b/c': 'xx', d: 'xx' });
    expect(await scan(bundle, { entries: 4, depth: 2, bytes: 4 })).toBe('ok');
    expect(await scan(bundle, { entries: 3 })).toBe('bundle-too-large');
    expect(await scan(bundle, { depth: 1 })).toBe('bundle-too-large');
    expect(await scan(bundle, { bytes: 3 })).toBe('bundle-too-large');
    const deepBlobs = put(scratch(), { 'oci-layout': '', 'index.json': '', 'blobs/a/b/c/d': '' });
    expect(await scan(deepBlobs, { depth: 3 })).toBe('bundle-too-large');
  });

  it('path-outside-root: names that cannot travel', async () => {
    expect(await scan(put(scratch(), { 'a\\b': 'x' }))).toBe('path-outside-root');
    expect(await scan(put(scratch(), { 'a\nb': 'x' }))).toBe('path-outside-root');
    const bundle = scratch();
    writeFileSync(Buffer.concat([Buffer.from(`${bundle}/`), Buffer.from([0xff, 0x41])]), 'x');
    expect(await scan(bundle)).toBe('special-file');
  });

  it('layout-malformed and the codes of its documents', async () => {
    const bundle = scratch();
    const layout = new HandLayout(join(bundle, 'l'));
    expect(await scan(bundle)).toBe('ok');
    put(layout.path, { 'oci-layout': '{"imageLayoutVersion":"9"}' });
    expect(await scan(bundle)).toBe('layout-malformed');
    put(layout.path, {
      'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
      'index.json': '{"schemaVersion":2,"manifests":[],"manifests":[]}',
    });
    expect(await scan(bundle)).toBe('json-duplicate-key');
    put(layout.path, { 'index.json': '{"schemaVersion":2}' });
    expect(await scan(bundle)).toBe('manifest-malformed');
    put(layout.path, { 'index.json': 'x'.repeat(4 * 1024 * 1024 + 1) });
    expect(await scan(bundle)).toBe('manifest-too-large');
    const without = put(scratch(), { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' });
    expect(await scan(without)).toBe('layout-malformed');
    mkdirSync(join(without, 'index.json'));
    expect(await scan(without)).toBe('layout-malformed');
  });

  it('takes an archive with a special file, a second member of one name, or a cut end as no layout', async () => {
    const bundle = scratch();
    const layout = busyboxLayout(join(scratch(), 'l'));
    run('tar', '-C', layout, '-cf', join(bundle, 'cut.tar'), '.');
    truncateSync(join(bundle, 'cut.tar'), 40_960);
    run(
      'tar',
      '-C',
      layout,
      '-cf',
      join(bundle, 'twice.tar'),
      './index.json',
      './oci-layout',
      'index.json',
      '--hard-dereference',
    );
    symlinkSync('/etc/passwd', join(layout, 'link'));
    run('tar', '-C', layout, '-cf', join(bundle, 'link.tar'), '.');
    const { layouts, unreadArchives, root } = valueOf(await scanDirectory(bundle));
    expect(layouts).toEqual([]);
    expect([...unreadArchives].map(([path, { code }]) => `${path} ${code}`)).toEqual([
      'cut.tar tar-malformed',
      'link.tar special-file',
      'twice.tar layout-malformed',
    ]);
    root.close();
  });
});
