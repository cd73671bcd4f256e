import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { TarReader } from '../src/tar-reader.ts';
import { pathFault, tarHeader, tarTrailer } from '../src/tar.ts';
import { archive, changed, codeOf, extension, extract, member, paxRecord } from './tar-tools.ts';

const LONG = `${'directory-'.repeat(9)}/${'segment'.repeat(13)}`;
const NAMES = ['a', 'dir/b', 'dir/ünïcode-名', `dir/${LONG}`];

describe('archives of GNU tar', () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-tar-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const contents = (name: string): Buffer => Buffer.from(`${name}\n`.repeat(name.length * 7));
  for (const name of NAMES) {
    mkdirSync(dirname(join(root, 'in', name)), { recursive: true });
    writeFileSync(join(root, 'in', name), contents(name));
  }
  writeFileSync(join(root, 'in', 'empty'), '');

  it.each(['gnu', 'pax', 'ustar'])('reads the %s format', (format) => {
    const made = execFileSync('tar', ['-C', join(root, 'in'), `--format=${format}`, '-cf', '-', '.']);
    for (const step of [made.length, 1000, 1]) {
      const read = extract(made, step);
      if (!read.ok) throw new Error(read.error.detail);
      const files = new Map(read.value.filter(({ type }) => type === 'file').map(({ path, bytes }) => [path, bytes]));
      expect([...files.keys()].sort()).toEqual([...NAMES, 'empty'].sort());
      for (const name of NAMES) expect(files.get(name)?.equals(contents(name))).toBe(true);
      for (const { bytes, offset } of read.value) expect(made.subarray(offset, offset + bytes.length)).toEqual(bytes);
    }
  });

  it('writes what GNU tar reads', () => {
    const bytes = archive(...NAMES.map((name) => member(name, contents(name))));
    const out = join(root, 'out');
    mkdirSync(out);
    execFileSync('tar', ['-C', out, '-xf', '-'], { input: bytes });
    execFileSync('diff', ['-r', '--exclude=empty', join(root, 'in'), out]);
  });

  it('refuses the links and fifos that GNU tar packs', () => {
    for (const make of [['ln', '-s', '/etc/passwd'], ['ln', join(root, 'in', 'a')], ['mkfifo']]) {
      const dir = mkdtempSync(join(root, 'special-'));
      execFileSync(make[0] ?? '', [...make.slice(1), join(dir, 'x')]);
      writeFileSync(join(dir, 'a'), 'a');
      if (make[1]?.startsWith(root) === true) execFileSync('ln', [join(dir, 'a'), join(dir, 'b')]);
      expect(codeOf(execFileSync('tar', ['-C', dir, '-cf', '-', '.']))).toBe('special-file');
    }
  });
});

describe('positions', () => {
  it('skips the bytes of a member', () => {
    const big = Buffer.alloc(3000, 7);
    const bytes = archive(member('big', big), member('next', 'n'));
    const reader = new TarReader();
    const first = reader.push(bytes.subarray(0, 512 + 10));
    expect(first.ok && first.value.map(({ kind }) => kind)).toEqual(['member', 'data']);
    expect(reader.pending).toBe(2990);
    expect(reader.skip(2990)).toEqual({ ok: true, value: [{ kind: 'end' }] });
    const rest = reader.push(bytes.subarray(512 + 3000));
    expect(rest.ok && rest.value[0]).toMatchObject({ kind: 'member', member: { path: 'next' }, offset: 512 * 8 });
    expect(reader.finish().ok).toBe(true);
  });

  it('takes sizes beyond 8 GiB in pax and base-256 form', () => {
    const size = 2 ** 33 + 5;
    const reader = new TarReader();
    const events = reader.push(tarHeader({ path: 'huge', type: 'file', size }));
    expect(events.ok && events.value[0]).toMatchObject({ member: { size } });
    const base256 = changed(tarHeader({ path: 'huge', type: 'file', size: 0 }), (block) => {
      block.fill(0, 124, 136);
      block[124] = 0x80;
      block.writeUIntBE(size, 130, 6);
    });
    const again = new TarReader().push(base256);
    expect(again.ok && again.value[0]).toMatchObject({ member: { size } });
  });
});

const plain = tarHeader({ path: 'name', type: 'file', size: 0 });
const withType = (typeflag: string): Buffer => changed(plain, (block) => block.write(typeflag, 156, 'latin1'));
const named = (name: string): Buffer => archive(changed(plain, (block) => block.fill(0, 0, 100).write(name, 0)));

describe('hostile archives', () => {
  it.each<[string, Uint8Array]>([
    ['nothing', Buffer.alloc(0)],
    ['no trailer', member('a', 'x')],
    ['half a trailer', Buffer.concat([member('a'), Buffer.alloc(512)])],
    ['cut in a member', archive(member('a', Buffer.alloc(600))).subarray(0, 1000)],
    ['cut in a header', archive(member('a')).subarray(0, 100)],
    ['bytes after the end', Buffer.concat([archive(member('a')), Buffer.from('x')])],
    ['a wrong checksum', Buffer.concat([changed(plain, () => undefined).fill('9', 0, 1), tarTrailer()])],
    ['no magic', archive(changed(plain, (block) => block.fill(0, 257, 265)))],
    ['a size that is no number', archive(changed(plain, (block) => block.write('9', 124)))],
    ['a negative size', archive(changed(plain, (block) => block.fill(0xff, 124, 136)))],
    [
      'a size over the limit',
      archive(changed(plain, (block) => block.fill(0, 124, 136).fill(0x80, 124, 125).fill(1, 129, 130))),
    ],
    [
      'a directory with a size',
      archive(
        changed(withType('5'), (block) => block.write('00000000001', 124)),
        Buffer.alloc(512),
      ),
    ],
    ['a name that is not UTF-8', archive(changed(plain, (block) => block.fill(0xff, 0, 1)))],
    ['a long name over the limit', archive(extension('L', 'a/'.repeat(2049)), plain)],
    ['two long names', archive(extension('L', 'a\0'), extension('L', 'b\0'), plain)],
    ['long name and pax path', archive(extension('L', 'a\0'), extension('x', paxRecord('path', 'b')), plain)],
    ['two pax headers', archive(extension('x', paxRecord('path', 'a')), extension('x', paxRecord('path', 'b')), plain)],
    ['a pax header over the limit', archive(extension('x', paxRecord('comment', 'c'.repeat(65_536))), plain)],
    ['an empty pax header', archive(extension('x', ''), plain)],
    ['a pax header for nothing', archive(extension('x', paxRecord('path', 'a')))],
    ['a pax record too long', archive(extension('x', '99 path=a\n'), plain)],
    ['a pax record too short', archive(extension('x', '4 path=a\n'), plain)],
    ['a pax record of length 0', archive(extension('x', '0 path=a\n'), plain)],
    ['a pax record without newline', archive(extension('x', '10 path=ab'), plain)],
    ['a pax record without key', archive(extension('x', '9 pathab\n'), plain)],
    ['an empty pax path', archive(extension('x', paxRecord('path', '')), plain)],
    ['two pax paths', archive(extension('x', paxRecord('path', 'a') + paxRecord('path', 'b')), plain)],
    ['a pax size that is no number', archive(extension('x', paxRecord('size', '-1')), plain)],
    ['a pax size over the limit', archive(extension('x', paxRecord('size', '1099511627777')), plain)],
    ['a global path', archive(extension('g', paxRecord('path', 'a')), plain)],
    ['random bytes', Buffer.from('x'.repeat(2048))],
  ])('tar-malformed: %s', (_, bytes) => expect(codeOf(bytes)).toBe('tar-malformed'));

  it.each(['1', '2', '3', '4', '6', '7', 'S', 'V', 'M', 'D', 'Z', '\x80'])('special-file: type %j', (typeflag) => {
    expect(codeOf(archive(withType(typeflag)))).toBe('special-file');
  });

  it('special-file: a sparse file in pax form', () => {
    expect(codeOf(archive(extension('x', paxRecord('GNU.sparse.major', '1')), plain))).toBe('special-file');
  });

  it.each([
    '/etc/passwd',
    '..',
    '../x',
    'a/../../x',
    'a/..',
    'a//b',
    'a/',
    './/a',
    'a/./b',
    '.',
    'a\\b',
    'a\nb',
    'a\x7f',
    '',
  ])('path-outside-root: %j', (name) => expect(codeOf(named(name))).toBe('path-outside-root'));

  it('path-outside-root by pax and long names, which may hold NUL and more', () => {
    expect(codeOf(archive(extension('x', paxRecord('path', 'a\0b')), plain))).toBe('path-outside-root');
    expect(codeOf(archive(extension('L', '../x\0'), plain))).toBe('path-outside-root');
    expect(codeOf(archive(extension('L', 'a\0b\0'), plain))).toBe('path-outside-root');
    expect(codeOf(archive(extension('x', paxRecord('path', 'a'.repeat(256))), plain))).toBe('path-outside-root');
    expect(codeOf(archive(extension('x', paxRecord('path', 'ab/'.repeat(1400) + 'c')), plain))).toBe(
      'path-outside-root',
    );
    const absolute = changed(withType('5'), (block) => block.fill(0, 0, 100).write('/', 0));
    expect(codeOf(archive(absolute))).toBe('path-outside-root');
  });

  it('keeps what is unusual but harmless', () => {
    expect(codeOf(archive())).toBe('ok');
    expect(codeOf(named('./a/b'))).toBe('ok');
    expect(codeOf(Buffer.concat([archive(member('a')), Buffer.alloc(9000)]))).toBe('ok');
    expect(
      codeOf(archive(extension('g', paxRecord('comment', 'c')), extension('x', paxRecord('mtime', '1.5')), plain)),
    ).toBe('ok');
    expect(codeOf(archive(extension('K', 'unused\0'), plain))).toBe('ok');
    expect(pathFault('etc/motd')).toBeUndefined();
  });

  it('is total: every single-byte change of an archive is an outcome', () => {
    const bytes = archive(extension('x', paxRecord('path', 'dir/ä')), member('a', 'hello'), withType('5'));
    const seen = new Set<string>();
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0x00, 0x2f, 0x37, 0x80, 0xff]) {
        const copy = Buffer.from(bytes);
        copy[at] = value;
        const read = extract(copy);
        seen.add(read.ok ? 'ok' : read.error.code);
      }
    }
    expect([...seen].sort()).toEqual(['ok', 'path-outside-root', 'tar-malformed']);
  });
});
