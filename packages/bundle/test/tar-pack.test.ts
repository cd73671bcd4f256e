import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Digest } from '@sluice/ports';
import { PACK_BYTES_LIMIT, packHeader, packMemberBytes, packTrailer, readPack, writePack } from '../src/tar-pack.ts';
import { changed } from './tar-tools.ts';

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const blob = (text: string): { digest: Digest; bytes: Uint8Array } => {
  const bytes = Buffer.from(text);
  return { digest: digestOf(bytes), bytes };
};
const blobs = ['', 'a', 'b'.repeat(512), 'c'.repeat(1000), 'd'.repeat(262_143)].map(blob);
const codeOf = (pack: Uint8Array): string => {
  const read = readPack(pack);
  return read.ok ? 'ok' : read.error.code;
};

describe('packs', () => {
  it('gives back the members, sorted, and the same bytes for any order', () => {
    const pack = writePack(blobs);
    expect(writePack(blobs.toReversed())).toEqual(pack);
    expect(pack.length).toBe(blobs.reduce((sum, { bytes }) => sum + packMemberBytes(bytes.length), 1024));
    const read = readPack(pack);
    if (!read.ok) throw new Error(read.error.detail);
    expect(read.value.map(({ digest }) => digest)).toEqual(blobs.map(({ digest }) => digest).sort());
    for (const { digest, bytes } of read.value) expect(digestOf(bytes)).toBe(digest);
    expect(codeOf(writePack([]))).toBe('ok');
  });

  it('is an archive to GNU tar, with the fields of PROTOCOL.md O-3', () => {
    const listing = execFileSync('tar', ['--utc', '--numeric-owner', '-tvf', '-'], {
      input: writePack(blobs.slice(1, 3)),
      encoding: 'utf8',
    });
    const lines = blobs
      .slice(1, 3)
      .map(({ digest, bytes }) => ({ hex: digest.slice(7), size: String(bytes.length) }))
      .sort((a, b) => (a.hex < b.hex ? -1 : 1))
      .map(({ hex, size }) => `-r--r--r-- 0/0 ${size} 1970-01-01 00:00 blobs/sha256/${hex}\n`);
    expect(listing.replaceAll(/ +/g, ' ')).toBe(lines.join(''));
  });

  it('takes no other form', () => {
    const one = blob('one');
    const pack = writePack([one]);
    const variants: Record<string, Uint8Array> = {
      empty: new Uint8Array(0),
      'no trailer': pack.subarray(0, 1024),
      'short trailer': pack.subarray(0, -1),
      'long trailer': Buffer.concat([pack, Buffer.alloc(512)]),
      'other mode': Buffer.concat([
        changed(pack.subarray(0, 512), (block) => block.write('0000644', 100)),
        pack.subarray(512),
      ]),
      'other owner': Buffer.concat([
        changed(pack.subarray(0, 512), (block) => block.write('root', 265)),
        pack.subarray(512),
      ]),
      'other name': Buffer.concat([changed(pack.subarray(0, 512), (block) => block.write('x', 0)), pack.subarray(512)]),
      'upper case': Buffer.concat([
        changed(pack.subarray(0, 512), (block) => block.write('A'.repeat(64), 13)),
        pack.subarray(512),
      ]),
      'a link': Buffer.concat([changed(pack.subarray(0, 512), (block) => block.write('2', 156)), pack.subarray(512)]),
      'too large a member': Buffer.concat([packHeader(one.digest, 262_144), Buffer.alloc(262_144), packTrailer()]),
      'size beyond the end': Buffer.concat([packHeader(one.digest, 5000), packTrailer()]),
      'dirty padding': Buffer.from(pack).fill(1, 1023, 1024),
      'the same member twice': Buffer.concat([pack.subarray(0, 1024), pack]),
      'too large': new Uint8Array(PACK_BYTES_LIMIT + 1),
    };
    const codes = Object.entries(variants).map(([name, bytes]) => [name, codeOf(bytes)]);
    expect(codes).toEqual(Object.keys(variants).map((name) => [name, 'tar-malformed']));
    const sorted = writePack(blobs.slice(1, 3));
    const middle = sorted.length - 1024 - 1024;
    expect(codeOf(sorted)).toBe('ok');
    expect(codeOf(Buffer.concat([sorted.subarray(middle, -1024), sorted.subarray(0, middle), packTrailer()]))).toBe(
      'tar-malformed',
    );
  });
});
