// A name in the spool, which link believes after a restart: it says all of an object, and has one spelling.
import { fitsBlocks, isSymbolBytes, MAX_BLOCK_MAX, OBJECT_BYTES_MAX } from '../../../packages/alc/src/index.ts';
import { isDigest } from '../../../packages/ports/src/index.ts';
import { fileName, parseFileName } from '../../../packages/link/src/spool-names.ts';
import { type FuzzTarget, check, utf8 } from '../target.ts';

function run(bytes: Uint8Array): void {
  const name = new TextDecoder().decode(bytes);
  const parsed = parseFileName(name);
  if (parsed === undefined) return;
  const { key, digest, size, symbolBytes, maxBlock, contentType, state } = parsed;
  check(fileName(key, contentType, state) === name, 'a name of the spool has two spellings');
  check(isDigest(digest) && size >= 1 && size <= OBJECT_BYTES_MAX, 'digest or size');
  check(isSymbolBytes(symbolBytes) && maxBlock >= 1 && maxBlock <= MAX_BLOCK_MAX, 'E or B');
  check(fitsBlocks(size, symbolBytes, maxBlock), 'more blocks than an object may have');
}

const HEX = '0a'.repeat(32);
const NAMES = [
  `${HEX}-1000-1408-200.blob.part`,
  `${HEX}-1-64-1.statement.done`,
  `${HEX}-1099511627776-8896-250.pack.whole`,
  `${HEX}-1099511627776-64-1.pack.map`,
  `${HEX}-1099511627777-8896-250.pack.map`,
  `${HEX}-1000-1409-200.blob.part`,
  `${HEX}-1000-1408-251.blob.part`,
  `${HEX}-1000-1408-200.heartbeat.part`,
  'x',
];

export const target: FuzzTarget = {
  about: 'the name of a file in the spool: one spelling, and nothing in it beyond the limits of the link',
  files: ['packages/link/src/spool-names.ts'],
  bytesMax: 128,
  words: [HEX, '-1000-', '-1408-200', '.blob', '.pack', '.statement', '.part', '.map', '.whole', '.done'],
  run,
  seeds: () => NAMES.map(utf8),
};
