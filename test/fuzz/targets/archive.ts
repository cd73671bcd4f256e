// The index of an archive on disk, which reads headers only: the same as reading all of it. Checksums are mended first when the first
// byte is odd. With its second bit, the last member's bytes, which may be a terabyte, are a hole in the file.
import { ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { indexArchive, indexHeld } from '../../../packages/sources/src/archive.ts';
import { Root } from '../../../packages/sources/src/beneath.ts';
import { TarReader } from '../../../packages/bundle/src/tar-reader.ts';
import { tarPadding, tarTrailer } from '../../../packages/bundle/src/tar.ts';
import { archive, archives, mended, member } from '../tar-files.ts';
import { type FuzzTarget, check, joined, same } from '../target.ts';

const LIMIT = 8;
const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-archive-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
const file = openSync(join(directory, 'a.tar'), 'w+');
writeFileSync(join(directory, 'held.tar'), '');
const held = openSync(join(directory, 'held.tar'), 'r+');
const opened = Root.open(directory, join(directory, 'held.tar'));
if (!opened.ok) throw new Error(opened.error.detail);
const root = opened.value;

interface Listed {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** The regular members by the reader alone, what it says of the archive, and where the last member lacks bytes. */
function listed(bytes: Uint8Array): {
  readonly code: string;
  readonly members: readonly Listed[];
  readonly lacks: number;
} {
  const reader = new TarReader();
  const pushed = reader.push(bytes);
  const lacks = reader.pending;
  const finished = pushed.ok ? reader.finish() : pushed;
  const events = pushed.ok ? pushed.value : [];
  const members = events.flatMap((event) =>
    event.kind === 'member' && event.member.type === 'file'
      ? [{ name: event.member.path, offset: event.offset, size: event.member.size }]
      : [],
  );
  return { code: finished.ok ? 'ok' : finished.error.code, members, lacks };
}

function write(descriptor: number, bytes: Uint8Array, hole: number): void {
  ftruncateSync(descriptor, 0);
  writeSync(descriptor, bytes, 0, bytes.length, 0);
  if (hole > 0) writeSync(descriptor, tarTrailer(), 0, undefined, bytes.length + hole);
}

function run(input: Uint8Array): void {
  const mode = input[0] ?? 0;
  const bytes = (mode & 1) === 1 ? mended(input.subarray(1)) : input.subarray(1);
  const wanted = listed(bytes);
  const last = wanted.members.at(-1);
  const hole = (mode & 2) === 2 && wanted.lacks > 0 ? wanted.lacks + tarPadding(last?.size ?? 0) : 0;
  const size = bytes.length + (hole > 0 ? hole + tarTrailer().length : 0);
  write(file, bytes, hole);
  write(held, bytes, hole);
  const index = indexArchive(root, { path: 'a.tar', offset: 0, size }, LIMIT);
  const own = indexHeld(root, LIMIT);
  check(index.ok === own.ok, 'the two indexes differ');
  const names = wanted.members.map(({ name }) => name);
  const twice = new Set(names).size < names.length || names.length > LIMIT;
  const code = hole > 0 ? 'ok' : wanted.code;
  if (!index.ok) {
    check(twice || index.error.code === code, `the index says ${index.error.code}, the reader ${code}`);
    return;
  }
  check(code === 'ok' && !twice && own.ok, `the index takes what the reader refuses with ${code}`);
  const found = [...index.value].map(([name, { offset, size: bytesOf }]) => ({ name, offset, size: bytesOf }));
  same(found, wanted.members, 'index and reader');
  same([...own.value.keys()], names, 'the index of the held archive');
}

function* seeds(): Generator<Uint8Array> {
  for (const bytes of archives()) yield joined([3], bytes);
  yield joined([1], archive(...Array.from({ length: 9 }, (_, i) => member(`m${i}`))));
  const large = member('large', 'x').slice(0, 512);
  for (const digits of ['00000200000', '17777777777', '00000777777']) {
    const header = large.slice();
    header.set(new TextEncoder().encode(digits), 124);
    yield joined([3], header);
    yield joined([3], member('before', 'abc'), header, [1, 2, 3]);
    yield joined([1], member('before', 'abc'), header, [1, 2, 3]);
  }
}

export const target: FuzzTarget = {
  about: 'the index of an archive on disk: as reading all of it says, in time that follows the headers alone',
  files: ['packages/sources/src/archive.ts'],
  bytesMax: 5121,
  words: ['ustar\u000000', 'path=', 'size=', '77777777777'],
  run,
  seeds,
};
