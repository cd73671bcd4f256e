// A pack, the tar of small blobs on the link: what is taken is, byte for byte, what we would write. Checksums are mended first when
// the first byte is odd.
import { PACK_MEMBER_LIMIT, packHeader, readPack, writePack } from '../../../packages/bundle/src/tar-pack.ts';
import { mended, member, summed } from '../tar-files.ts';
import { type FuzzTarget, check, joined, sameBytes } from '../target.ts';

function run(input: Uint8Array): void {
  const bytes = (input[0] ?? 0) % 2 === 1 ? mended(input.subarray(1)) : input.subarray(1);
  const read = readPack(bytes);
  if (!read.ok) return;
  for (const { digest, bytes: blob } of read.value) {
    check(/^sha256:[0-9a-f]{64}$/.test(digest) && blob.length < PACK_MEMBER_LIMIT, `a blob ${digest}`);
  }
  sameBytes(writePack(read.value), bytes, 'a pack read and written again');
}

function* seeds(): Generator<Uint8Array> {
  const blob = (digit: string, size: number) => {
    return { digest: `sha256:${digit.repeat(64)}`, bytes: new Uint8Array(size).fill(7) } as const;
  };
  const two = writePack([blob('a', 3), blob('1', 600)]);
  const one = writePack([blob('2', 512)]);
  yield joined([1], writePack([]));
  yield joined([0], writePack([blob('f', 0), blob('0', 1)]));
  yield joined([1], two);
  yield joined([1], one);
  for (const [at, byte] of [
    [20, 0x7a],
    [124, 0x38],
    [130, 0x37],
    [140, 0x31],
    [150, 0x31],
    [515, 1],
    [520, 1],
  ] as const) {
    const changed = writePack([blob('a', 3)]);
    changed[at] = byte;
    yield joined([0], changed);
    summed(changed.subarray(0, 512));
    yield joined([0], changed);
  }
  yield joined([0], one.subarray(0, 512), one);
  yield joined([0], one.subarray(0, -512));
  yield joined([0], one, [0]);
  yield joined([0], one.subarray(0, -1), [1]);
  yield joined([0], packHeader(`sha256:${'b'.repeat(64)}`, PACK_MEMBER_LIMIT), new Uint8Array(1024));
  yield joined([1], member('blobs/sha256/x', 'abc'), new Uint8Array(1024));
}

export const target: FuzzTarget = {
  about: 'a pack of small blobs: only the one spelling is taken',
  files: ['packages/bundle/src/tar-pack.ts'],
  beside: ['packHeader'],
  bytesMax: 4097,
  words: ['blobs/sha256/', 'ustar\u000000', '0000444\0'],
  run,
  seeds,
};
