// Archives for the targets that read them.
import { tarChecksum, tarHeader, tarPadding, tarTrailer } from '../../packages/bundle/src/tar.ts';
import { joined, utf8 } from './target.ts';

const BLOCK = 512;
const SUM_AT = 148;

/** The block with its checksum made right: nothing that guesses bytes gets past it otherwise. */
export function summed(block: Uint8Array): Uint8Array {
  const sum = tarChecksum(block).toString(8).padStart(6, '0');
  block.set(utf8(`${sum}\0 `), SUM_AT);
  return block;
}

/** A copy in which every block that says it is a header has a right checksum. */
export function mended(archive: Uint8Array): Uint8Array {
  const copy = archive.slice();
  for (let at = 0; at + BLOCK <= copy.length; at += BLOCK) {
    const block = copy.subarray(at, at + BLOCK);
    if (Buffer.from(block.subarray(257, 262)).toString('latin1') === 'ustar') summed(block);
  }
  return copy;
}

export const member = (path: string, text = ''): Uint8Array => {
  const bytes = utf8(text);
  return joined(tarHeader({ path, type: 'file', size: bytes.length }), bytes, new Uint8Array(tarPadding(bytes.length)));
};

export const directory = (path: string): Uint8Array => tarHeader({ path, type: 'directory', size: 0 });

/** A pax or GNU extended header. */
export const extension = (flag: string, body: Uint8Array): Uint8Array => {
  const header = tarHeader({ path: 'extended', type: 'file', size: body.length });
  header[156] = flag.charCodeAt(0);
  return joined(summed(header), body, new Uint8Array(tarPadding(body.length)));
};

/** A member whose header is changed, with a right checksum. */
export const changed = (block: Uint8Array, at: number, text: string): Uint8Array => {
  const copy = block.slice();
  copy.set(utf8(text), at);
  return joined(summed(copy.slice(0, BLOCK)), copy.subarray(BLOCK));
};

export const archive = (...pieces: readonly Uint8Array[]): Uint8Array => joined(...pieces, tarTrailer());

/** A pax record. */
export const record = (key: string, value: string): Uint8Array => {
  const rest = utf8(` ${key}=${value}\n`);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return joined(utf8(String(length)), rest);
};

/** Archives of every kind that readers tell apart. */
export function* archives(): Generator<Uint8Array> {
  yield archive(member('a/b.txt', 'hello'), directory('c'), member('empty'));
  yield archive(member(`${'d/'.repeat(60)}long`, 'x'), member('grüße', 'y'));
  yield archive(directory('.'), member('./x/./y'.replace('/./', '/'), 'z'));
  yield archive(
    extension('x', joined(record('path', 'p/q'), record('size', '3'), record('mtime', '1.5'))),
    member('s', 'abc'),
  );
  yield archive(extension('g', record('comment', 'hello')), member('s', 'abc'));
  yield archive(extension('L', utf8('long/name\0')), extension('K', utf8('link\0')), member('s', 'abc'));
  yield archive(extension('g', record('path', 'p')), member('s'));
  yield archive(extension('x', record('path', 'p')), extension('x', record('path', 'q')), member('s'));
  yield archive(extension('x', record('path', 'p')), extension('L', utf8('n')), member('s'));
  yield archive(extension('L', utf8('m')), extension('L', utf8('n')), member('s'));
  yield archive(extension('L', Uint8Array.of(0xff)), member('s'));
  yield archive(extension('x', record('GNU.sparse.major', '1')), member('s'));
  yield archive(extension('x', joined(record('path', 'p'), record('path', 'q'))), member('s'));
  yield archive(extension('x', record('size', '9x')), member('s'));
  for (const body of ['9 path=p', '5 =a\n', '99 path=p\n', 'path=p\n', '10 path=p\n\n', '11 path=pp']) {
    yield archive(extension('x', utf8(body)), member('s'));
  }
  yield archive(extension('x', joined(utf8('8 '), [0xff], utf8('=ab\n'))), member('s'));
  yield archive(extension('x', record('path', 'p')));
  const plain = member('s', 'abc');
  for (const [at, text] of [
    [156, '2'],
    [156, '\0'],
    [156, '5'],
    [156, 'x'],
    [257, 'wrong'],
    [257, 'ustar  \0'],
    [124, '\u0080'],
    [124, '77777777777'],
    [124, '9'],
    [0, '../up'],
    [0, '/root'],
    [0, 'a//b'],
    [0, 'a\\b'],
    [345, 'prefix'],
  ] as const) {
    yield archive(changed(plain, at, text));
  }
  const base256 = plain.slice();
  base256.fill(0, 124, 136).set([0x80], 124);
  base256[135] = 3;
  yield archive(summed(base256.slice(0, BLOCK)), base256.subarray(BLOCK));
  base256[124] = 0xff;
  yield archive(summed(base256.slice(0, BLOCK)), base256.subarray(BLOCK));
  base256.set([0x80, 0xff, 0xff, 0xff, 0xff, 0xff], 124);
  yield archive(summed(base256.slice(0, BLOCK)), base256.subarray(BLOCK));
  const latin = plain.slice();
  latin[0] = 0xff;
  yield archive(summed(latin.slice(0, BLOCK)), latin.subarray(BLOCK));
  yield archive(plain, plain);
  yield joined(archive(plain), new Uint8Array(BLOCK));
  yield joined(archive(plain), [1]);
  yield plain;
  yield plain.slice(0, 700);
  const wrongSum = plain.slice();
  wrongSum[148] = 0x37;
  yield archive(wrongSum);
}
