import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tarHeader, tarTrailer } from '@sluice/bundle';
import type { TarMember } from '@sluice/bundle';
import type { Result } from '@sluice/ports';
import { readAll, Root } from '../src/beneath.ts';
import type { Location } from '../src/beneath.ts';
import { Reception } from '../src/reception.ts';
import { DEFAULT_SCAN_LIMITS, scanDirectory, scanListed } from '../src/scan.ts';
import type { Scan, ScanLimits } from '../src/scan.ts';
import { writeSubmitStream } from '../src/submit.ts';
import { busyboxLayout, codeOf, digestOf, put, run, scratch, valueOf } from './tools.ts';

const bytesOf = (paths: readonly string[]): Buffer => Buffer.concat([...writeSubmitStream(paths)]);

/** Takes a stream in, in pieces of `size` bytes. */
async function received(
  bytes: Uint8Array,
  directory: string,
  limits: Partial<ScanLimits> = {},
  size = 1000,
): Promise<Result<readonly Location[]>> {
  const places = { directory, archive: `${directory}.tar` };
  using reception = Reception.begin(places, { ...DEFAULT_SCAN_LIMITS, ...limits });
  for (let at = 0; at < bytes.length; at += size) {
    const taken = reception.push(bytes.subarray(at, at + size));
    if (!taken.ok) return taken;
  }
  return await reception.finish();
}

const receive = async (bytes: Uint8Array, target: string, limits: Partial<ScanLimits> = {}): Promise<string> =>
  codeOf(await received(bytes, target, limits));

/** All that was received in one directory, as an operator would look at it. */
function laidOut(target: string): string {
  run('tar', '-C', target, '-xf', `${target}.tar`);
  return target;
}

const archive = (...members: TarMember[]): Buffer => Buffer.concat([...members.map(tarHeader), tarTrailer()]);
const empty = (path: string): TarMember => ({ path, type: 'file', size: 0 });

describe('submitting', () => {
  it('carries a directory as it is', async () => {
    const bundle = put(scratch(), {
      'release.dsse.json': '{}',
      'etc/motd': 'hello',
      ünï: '',
      large: 'x'.repeat(3_000_000),
    });
    busyboxLayout(join(bundle, 'images/busybox'));
    run('tar', '-C', join(bundle, 'etc'), '-cf', join(bundle, 'small.tar'), '.');
    for (const size of [1000, 2 ** 20]) {
      const target = join(scratch(), 'new');
      const bytes = bytesOf([bundle]);
      valueOf(await received(bytes, target, {}, size));
      expect(statSync(target).mode & 0o777).toBe(0o700);
      // Large files and archives by themselves, to be moved or indexed.
      expect(readdirSync(target).sort()).toEqual(['images', 'large', 'small.tar']);
      expect(run('diff', '-r', bundle, laidOut(target))).toBe('');
      run('tar', '-tf', join(put(scratch(), { 'x.tar': bytes }), 'x.tar'));
    }
  });

  it('is scanned without a look, every file with its digest, or by a look as after a crash', async () => {
    const bundle = put(scratch(), { 'release.dsse.json': '{}', 'etc/motd': 'hello', large: 'x'.repeat(300_000) });
    busyboxLayout(join(bundle, 'busybox'));
    run('tar', '-C', join(bundle, 'busybox'), '-cf', join(bundle, 'same.tar'), '.');
    const target = join(scratch(), 'new');
    const files = valueOf(await received(bytesOf([bundle]), target));
    const root = valueOf(Root.open(target, `${target}.tar`));
    for (const file of files) {
      const whole = readFileSync(join(bundle, file.path));
      expect(Buffer.compare(readAll(root.read(file), file.size), whole)).toBe(0);
      expect(file.digest).toBe(file.path.endsWith('.tar') ? undefined : digestOf(whole));
    }
    root.close();
    const known = valueOf(await scanListed(Root.open(target, `${target}.tar`), files));
    const found = valueOf(await scanDirectory(target, DEFAULT_SCAN_LIMITS, `${target}.tar`));
    const shape = ({ release, layouts, files: plain }: Scan): unknown => ({
      release: release?.path,
      layouts: layouts.map(({ path, blobs }) => [path, [...blobs.keys()].sort()]).sort(),
      files: plain.map(({ path, size }) => [path, size]).sort(),
    });
    expect(shape(known)).toEqual(shape(found));
    expect(shape(known)).toMatchObject({
      release: 'release.dsse.json',
      layouts: [
        ['busybox', expect.anything()],
        ['same.tar', expect.anything()],
      ],
      files: [
        ['etc/motd', 5],
        ['large', 300_000],
      ],
    });
    for (const scan of [known, found]) scan.root.close();
  });

  it('carries several paths under their base names, links to them followed', async () => {
    const root = put(scratch(), { 'a/x': '1', 'b.txt': '2' });
    symlinkSync(join(root, 'b.txt'), join(root, 'link'));
    const target = join(scratch(), 'new');
    valueOf(await received(bytesOf([join(root, 'a'), join(root, 'b.txt'), join(root, 'link')]), target));
    laidOut(target);
    expect(['a/x', 'b.txt', 'link'].map((path) => readFileSync(join(target, path), 'utf8'))).toEqual(['1', '2', '2']);
  });

  it('tells the caller what would be refused', () => {
    const root = put(scratch(), { 'a/x': '1', 'b/a/y': '2', 'c/d\\e': '3' });
    symlinkSync('/etc/passwd', join(root, 'b/link'));
    for (const paths of [[join(root, 'b')], [join(root, 'a'), join(root, 'b/a')], [join(root, 'c')]]) {
      expect(() => bytesOf(paths)).toThrow(expect.objectContaining({ code: 'submit-input' }) as Error);
    }
    expect(() => bytesOf([join(root, 'nowhere')])).toThrow(expect.objectContaining({ code: 'submit-input' }) as Error);
  });
});

describe('hostile streams', () => {
  it('writes nothing outside, takes no special files, and no name twice', async () => {
    const outside = scratch();
    const target = (): string => join(outside, 'new', String(Math.random()));
    mkdirSync(join(outside, 'new'));
    const codes: [string, Uint8Array][] = [
      ['path-outside-root', archive(empty('../escaped'))],
      ['path-outside-root', archive(empty('/tmp/escaped'))],
      ['tar-malformed', archive(empty('a'), empty('a'))],
      ['tar-malformed', archive(empty('a'), empty('a/b'))],
      ['tar-malformed', archive(empty('a/b'), empty('a'))],
      ['tar-malformed', archive(empty('a'), { path: 'a', type: 'directory', size: 0 })],
      ['tar-malformed', archive(empty('a')).subarray(0, 600)],
      ['tar-malformed', Buffer.from('not a tar'.repeat(100))],
      [
        'path-outside-root',
        tarHeader({ path: `${'a'.repeat(250)}/`.repeat(16) + 'b'.repeat(70), type: 'file', size: 2 ** 20 }),
      ],
      [
        'ok',
        archive({ path: 'a', type: 'directory', size: 0 }, { path: 'a', type: 'directory', size: 0 }, empty('a/b')),
      ],
    ];
    for (const [code, bytes] of codes) expect(await receive(bytes, target())).toBe(code);
    symlinkSync('/etc/passwd', join(outside, 'link'));
    run('tar', '-C', outside, '-cf', join(outside, 'link.tar'), 'link');
    expect(await receive(readFileSync(join(outside, 'link.tar')), target())).toBe('special-file');
    expect(existsSync(join(outside, 'new/escaped')) || existsSync('/tmp/escaped')).toBe(false);
  });

  it('bundle-too-large', async () => {
    const bytes = archive(empty('a/b/c'), empty('d'));
    expect(await receive(bytes, join(scratch(), 'new'), { entries: 4, depth: 3 })).toBe('ok');
    expect(await receive(bytes, join(scratch(), 'new'), { entries: 3 })).toBe('bundle-too-large');
    expect(await receive(bytes, join(scratch(), 'new'), { depth: 2 })).toBe('bundle-too-large');
    const announced = tarHeader({ path: 'huge', type: 'file', size: 2 ** 39 });
    expect(await receive(announced, join(scratch(), 'new'), { bytes: 2 ** 38 })).toBe('bundle-too-large');
  });

  it('does not write into a directory that is there', async () => {
    await expect(receive(archive(), scratch())).rejects.toMatchObject({ code: 'source-io' });
  });
});
