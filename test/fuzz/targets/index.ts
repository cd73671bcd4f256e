// The signed index of a chunk log, a DSSE envelope a line. With an odd first byte the input is the payloads of lines, which are chained
// and signed here ("!" before one: by nobody that counts); with its second bit, the index is gone on with after it was read.
import { createHash, hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { encodeLogRecord, type LogEntry, parseLogRecord, type Verifier } from '../../../packages/bundle/src/index.ts';
import { isDigest } from '../../../packages/ports/src/index.ts';
import {
  INDEX_NAME,
  IndexWriter,
  type ReadIndex,
  readIndex,
} from '../../../packages/receiver/src/chunks/index-file.ts';
import { signEnvelope, type Signer } from '../../../packages/trust/src/index.ts';
import { type FuzzTarget, check, joined, same, utf8 } from '../target.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-index-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
const path = join(directory, INDEX_NAME);

/** A key whose signatures cost next to nothing: here is asked what follows from one. */
const signerOf = (digit: string): Signer & Verifier => {
  const sign = (message: Uint8Array): Uint8Array => {
    const sum = crc32(message, digit.charCodeAt(0));
    return Uint8Array.from({ length: 64 }, (_, i) => (sum >>> (8 * (i & 3))) & 255);
  };
  const verify = (message: Uint8Array, sig: Uint8Array): boolean => Buffer.compare(sign(message), sig) === 0;
  return { keyid: digit.repeat(64), algorithm: 'Ed25519', sign, verify };
};
const signer = signerOf('a');
const stranger = signerOf('b');

const DIGEST = `sha256:${'0a'.repeat(32)}` as const;
/** Stands for the digest of the line before. */
const BEFORE = `sha256:${'0'.repeat(64)}`;
const FIRST = '"previous":null';

/** Payloads as lines of an index that hold together. */
function chained(payloads: string): Uint8Array {
  const lines: Uint8Array[] = [];
  let before: string | undefined;
  for (const text of payloads.split('\n')) {
    const isOurs = !text.startsWith('!');
    const payload = (isOurs ? text : text.slice(1)).replace(
      FIRST,
      before === undefined ? FIRST : `"previous":"${BEFORE}"`,
    );
    const line = signEnvelope(utf8(payload.replace(BEFORE, before ?? BEFORE)), [isOurs ? signer : stranger]);
    before = `sha256:${hash('sha256', line)}`;
    lines.push(line);
  }
  return joined(...lines);
}

/** What must hold of an index that was read from these bytes. */
function holds({ records, faults, head, bytes: end }: ReadIndex, bytes: Uint8Array): void {
  const last = bytes.lastIndexOf(10);
  const lines = bytes.reduce((sum, byte) => sum + Number(byte === 10), 0);
  const isCut = last + 1 < bytes.length;
  check(end === last + 1, 'the end of the index');
  check(records.length + faults.length === lines + Number(isCut), 'a line is neither a record nor a fault');
  const begin = last < 1 ? 0 : bytes.lastIndexOf(10, last - 1) + 1;
  const wanted = createHash('sha256')
    .update(bytes.subarray(begin, last + 1))
    .digest('hex');
  check(head === (last < 0 ? null : `sha256:${wanted}`), 'the head of the index');
  for (const record of records) {
    check(isDigest(record.digest) && Number.isSafeInteger(record.number) && record.name.length <= 1024, 'a record');
    if (record.action === 'closed') for (const time of [record.from, record.to]) new Date(time).toISOString();
    same(parseLogRecord(encodeLogRecord(record)), record, 'a record read, written and read');
  }
}

const ENTRY = { action: 'removed', number: 9, name: 'x', digest: DIGEST, reason: 'age' } as const;

function run(input: Uint8Array): void {
  const mode = input[0] ?? 0;
  const rest = input.subarray(1);
  const bytes = mode % 2 === 1 ? chained(Buffer.from(rest).toString('latin1')) : rest;
  writeFileSync(path, bytes);
  const index = readIndex(directory, [signer]);
  holds(index, bytes);
  const unsigned = readIndex(directory);
  check(unsigned.records.length >= index.records.length && unsigned.head === index.head, 'with keys more is believed');
  if ((mode & 2) === 0) return;
  new IndexWriter(directory, signer, unsigned).append(ENTRY);
  const again = readIndex(directory, [signer]);
  const cut = Number(index.bytes < bytes.length);
  check(again.records.length === index.records.length + 1, 'the next line is not believed');
  check(again.faults.length === index.faults.length - cut, 'the next line mends or breaks others');
  const last = again.records.at(-1);
  check(last?.action === 'removed' && last.reason === ENTRY.reason && last.previous === index.head, 'the next line');
}

const CLOSED: LogEntry = {
  ...{ action: 'closed', number: 1, name: 'chunks-1.pcapng.zst', digest: DIGEST, bytes: 5, from: 7, to: 8 },
  ...{
    plain: { digest: DIGEST, bytes: 9 },
    datagrams: 3,
    droppedByLog: 0,
    droppedByKernel: 1,
    under: { mode: 'full' },
  },
};
const payloadOf = (entry: LogEntry): string => Buffer.from(encodeLogRecord({ ...entry, previous: null })).toString();

function* seeds(): Generator<Uint8Array> {
  const [closed, removed] = [payloadOf(CLOSED), payloadOf(ENTRY)];
  for (const mode of [1, 3]) yield joined([mode], utf8([closed, removed, closed].join('\n')));
  yield joined([3], utf8([closed, `!${removed}`, closed].join('\n')));
  yield joined([1], utf8([closed.replace('"previous":null', `"previous":"${DIGEST}"`), removed].join('\n')));
  const whole = chained([closed, removed].join('\n'));
  yield joined([2], whole);
  yield joined([2], whole.subarray(0, -9));
  yield joined([0], whole.subarray(9));
  yield joined([2]);
  yield joined([2], [10, 10]);
  for (const [from, to] of [
    ['"closed"', '"opened"'],
    ['"number":1', '"number":-1'],
    ['"from":7', '"from":8640000000000001'],
    ['"to":8', '"to":null'],
    ['"plain":{', '"plane":{'],
    ['"under":{"mode":"full"}', '"under":null'],
    ['"under":{"mode":"full"}', '"under":{"mode":1}'],
    ['"subject":[', '"subject":[7,'],
    ['"subject":[', '"subject":7,"x":['],
    ['"name":"chunks-1.pcapng.zst"', `"name":"${'x'.repeat(1025)}"`],
    ['"predicate":{', '"predicate":7,"x":{'],
    ['urn:sluice:chunk-log:v1', 'urn:sluice:chunk-log:v2'],
    ['{', '['],
  ] as const) {
    check(closed.includes(from), `a seed does not hold ${from}`);
    yield joined([1], utf8(closed.replace(from, to)));
  }
  yield joined([1], utf8(removed.replace('"age"', '7')));
}

export const target: FuzzTarget = {
  about: 'the index of a chunk log: what is signed and chained, each line a record or a fault, and it goes on',
  files: ['packages/receiver/src/chunks/index-file.ts', 'packages/bundle/src/log-record.ts'],
  bytesMax: 3072,
  words: [
    ...['"action":"closed"', '"action":"removed"', '"number":', '"previous":null', '"digest":{"sha256":"', '"bytes":'],
    ...[
      '"plain":{"digest":"',
      '"from":',
      '"to":',
      '"datagrams":',
      '"droppedByLog":',
      '"droppedByKernel":',
      '"reason":',
    ],
    ...[
      '"under":{',
      '"__proto__":',
      'urn:sluice:chunk-log:v1',
      '{"payloadType":',
      '"payload":"',
      '"signatures":[',
      '"sig":"',
    ],
    ...[DIGEST, '"subject":[{"name":"', '"predicate":{'],
  ],
  run,
  seeds,
};
