import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tarHeader, tarTrailer } from '@sluice/bundle';
import type { TarMember } from '@sluice/bundle';
import { DEFAULT_SCAN_LIMITS } from '../src/scan.ts';
import type { ScanLimits } from '../src/scan.ts';
import { receiveSubmitStream, writeSubmitStream } from '../src/submit.ts';
import { busyboxLayout, codeOf, put, run, scratch } from './tools.ts';

const bytesOf = async (paths: readonly string[]): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(writeSubmitStream(paths)));

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

const receive = async (bytes: Uint8Array, target: string, limits: Partial<ScanLimits> = {}): Promise<string> =>
  codeOf(await receiveSubmitStream(pieces(bytes, 1000), target, { ...DEFAULT_SCAN_LIMITS, ...limits }));

const archive = (...members: TarMember[]): Buffer => Buffer.concat([...members.map(tarHeader), tarTrailer()]);
const empty = (path: string): TarMember => ({ path, type: 'file', size: 0 });

describe('submitting', () => {
  it('carries a directory as it is', async () => {
    const bundle = put(scratch(), { 'release.dsse.json': '{}', 'etc/motd': 'hello', ünï: '' });
    mkdirSync(join(bundle, 'empty'));
    busyboxLayout(join(bundle, 'images/busybox'));
    const target = join(scratch(), 'new');
    const bytes = await bytesOf([bundle]);
    expect(await receive(bytes, target)).toBe('ok');
    expect(run('diff', '-r', bundle, target)).toBe('');
    expect(statSync(target).mode & 0o777).toBe(0o700);
    run('tar', '-tf', join(put(scratch(), { 'x.tar': bytes }), 'x.tar'));
  });

  it('carries several paths under their base names, links to them followed', async () => {
    const root = put(scratch(), { 'a/x': '1', 'b.txt': '2' });
    symlinkSync(join(root, 'b.txt'), join(root, 'link'));
    const target = join(scratch(), 'new');
    expect(await receive(await bytesOf([join(root, 'a'), join(root, 'b.txt'), join(root, 'link')]), target)).toBe('ok');
    expect(['a/x', 'b.txt', 'link'].map((path) => readFileSync(join(target, path), 'utf8'))).toEqual(['1', '2', '2']);
  });

  it('tells the caller what would be refused', async () => {
    const root = put(scratch(), { 'a/x': '1', 'b/a/y': '2', 'c/d\\e': '3' });
    symlinkSync('/etc/passwd', join(root, 'b/link'));
    for (const paths of [[join(root, 'b')], [join(root, 'a'), join(root, 'b/a')], [join(root, 'c')]]) {
      await expect(bytesOf(paths)).rejects.toMatchObject({ code: 'submit-input' });
    }
    await expect(bytesOf([join(root, 'nowhere')])).rejects.toMatchObject({ code: 'submit-input' });
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
      ['path-outside-root', archive(empty(`${'a'.repeat(250)}/`.repeat(16) + 'b'.repeat(70)))],
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
