// What one link process hands to the next: believed up to the first record that could not be from us, and fit to be taken over. With an
// odd first byte the input is the JSON of records, a line each, whose lengths, symbols and checks are made here.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CONTENT_TYPES, fitsBlocks, isSymbolBytes, OBJECT_BYTES_MAX } from '../../../packages/alc/src/index.ts';
import { createCodec, partition } from '../../../packages/fec/src/index.ts';
import { isDigest } from '../../../packages/ports/src/index.ts';
import { readHandover, writeHandover } from '../../../packages/link/src/handover-file.ts';
import { type HandoverItem, type ObjectInfo, ReceiveMachine, spoolKey } from '../../../packages/transfer/src/index.ts';
import { sha256 } from '../../../packages/trust/src/index.ts';
import { Spool } from '../kernel-parts.ts';
import { plainKey } from '../plain-tags.ts';
import { type FuzzTarget, check, joined, same, utf8 } from '../target.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-handover-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
const path = join(directory, 'handover');

const MIB = 2 ** 20;
const LIMITS = { blockBytes: MIB, unknownToiBytes: MIB, objectBytes: MIB, objects: 9, tois: 9, fdtInstances: 2 };
const spool = new Spool();
const parts = { keys: [plainKey(0, 'prod', true)], codec: createCodec(), sha256, spool, onEvent: () => undefined };
const machine = new ReceiveMachine(parts, LIMITS, 0);

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
/** More symbols than that no line here asks for. */
const SYMBOLS_MAX = 4096;

/** The record of a line of JSON: with as many symbols as it says, where it says so. */
function recordOf(line: string): Uint8Array {
  const json = utf8(line);
  const count = /"esis":\[([^\]]*)\]/.exec(line)?.[1]?.split(',').length ?? 0;
  const each = Number(/"symbolBytes":(\d{1,4})\b/.exec(line)?.[1] ?? 0);
  const symbols = new Uint8Array(Math.min(SYMBOLS_MAX, count * each)).fill(7);
  return joined(u32(json.length), u32(symbols.length), u32(crc32(symbols, crc32(json))), json, symbols);
}

const isBelow = (value: number, limit: number): boolean => Number.isSafeInteger(value) && value >= 0 && value < limit;

function fits({ digest, size, contentType, symbolBytes, maxBlock, asid, channel }: ObjectInfo): void {
  check(isDigest(digest) && CONTENT_TYPES.includes(contentType) && typeof channel === 'string', 'what an object is');
  check(size >= 1 && size <= OBJECT_BYTES_MAX && isSymbolBytes(symbolBytes) && isBelow(asid, 16), 'size, E or ASID');
  check(maxBlock >= 1 && maxBlock <= 250 && fitsBlocks(size, symbolBytes, maxBlock), 'blocks beyond what one may have');
}

function holds(item: HandoverItem): void {
  if (item.type === 'seen') return check(isBelow(item.tsi, 2 ** 32) && isBelow(item.sn, 2 ** 40), 'how far it was');
  fits(item.info);
  if (item.type === 'name') return check(isBelow(item.tsi, 2 ** 32) && isBelow(item.toi, 2 ** 32), 'a name');
  const { info, sbn, esis, symbols } = item;
  check(
    isBelow(sbn, partition(info.size, info.symbolBytes, info.maxBlock).blocks),
    'a block that the object does not have',
  );
  check(esis.every((esi) => esi < 255) && new Set(esis).size === esis.length, 'symbols twice, or of no block');
  check(symbols.length === esis.length * info.symbolBytes, 'the length of the symbols');
}

/** An item by itself: its symbols are valid until the next one. */
const kept = (item: HandoverItem): HandoverItem =>
  item.type === 'block' ? { ...item, symbols: item.symbols.slice(), esis: item.esis.slice() } : item;

function run(input: Uint8Array): void {
  const rest = input.subarray(1);
  const lines = Buffer.from(rest).toString('latin1').split('\n');
  writeFileSync(path, (input[0] ?? 0) % 2 === 1 ? joined(...lines.map(recordOf)) : rest);
  const items: HandoverItem[] = [];
  for (const item of readHandover(directory)) {
    check(!existsSync(path), 'the file is there while it is used');
    holds(item);
    machine.takeOver(item);
    items.push(kept(item));
  }
  for (const { info } of [...machine.objects()]) machine.forget(info.channel, spoolKey(info));
  spool.objects.clear();
  check(writeHandover(directory, items).records === items.length, 'the count of what was written');
  same([...readHandover(directory)].map(kept), items, 'items read, written and read');
}

const INFO = {
  ...{ digest: `sha256:${'ab'.repeat(32)}`, size: 1000, contentType: 'application/octet-stream' },
  ...{ symbolBytes: 64, maxBlock: 10, asid: 0, channel: 'prod' },
};
const BLOCK = { type: 'block', info: INFO, sbn: 1, esis: [0, 7, 254] };

function* seeds(): Generator<Uint8Array> {
  const items = [{ type: 'seen', tsi: 1000, sn: 2 ** 35 }, { type: 'name', tsi: 1000, toi: 12, info: INFO }, BLOCK];
  const text = items.map((item) => JSON.stringify(item)).join('\n');
  yield joined([1], utf8(text));
  const whole = joined(...text.split('\n').map(recordOf));
  yield joined([0], whole);
  for (const cut of [-1, 5, 60]) yield joined([0], whole.subarray(0, cut));
  yield joined([0], whole.with(9, 1));
  yield joined([0], whole.with(3, 1));
  yield joined([0]);
  for (const strange of [
    { type: 'seen', tsi: -1, sn: 1 },
    { type: 'name', tsi: 1, toi: 2 ** 32, info: INFO },
    { type: 'name', tsi: 1, toi: 1 },
    { ...BLOCK, sbn: 2 },
    { ...BLOCK, sbn: 0.5 },
    { ...BLOCK, esis: [1, 1] },
    { ...BLOCK, esis: [255] },
    { ...BLOCK, esis: 7 },
    { ...BLOCK, esis: [1], symbols: 'x' },
    ...[
      { digest: '../../etc/passwd' },
      { contentType: 'text/html' },
      { channel: 7 },
      { channel: 'lab' },
      { size: 0 },
      { size: 2 ** 48 - 1 },
      { size: 2 ** 40, symbolBytes: 16, maxBlock: 1 },
      { symbolBytes: 0 },
      { symbolBytes: 7 },
      { maxBlock: 255 },
      { asid: 16 },
    ].map((change) => ({ type: 'name', tsi: 1, toi: 1, info: { ...INFO, ...change } })),
  ])
    yield joined([1], utf8(`${JSON.stringify(items[0])}\n${JSON.stringify(strange)}`));
  yield joined([1], utf8('{'));
}

export const target: FuzzTarget = {
  about: 'what one link process hands to the next: nothing that could not be from us, and all of it can be taken over',
  files: ['packages/link/src/handover-file.ts'],
  elsewhere: ['packages/transfer', 'packages/fec', 'packages/testkit', 'packages/trust'],
  bytesMax: 2048,
  words: [
    ...[
      '{"type":"seen","tsi":',
      '{"type":"name","tsi":',
      '{"type":"block","info":',
      '"sn":',
      '"toi":',
      '"sbn":',
      '"esis":[',
    ],
    ...['"digest":"', '"size":', '"contentType":"', '"symbolBytes":', '"maxBlock":', '"asid":', '"channel":"prod"'],
    ...[INFO.digest, ...CONTENT_TYPES, '1099511627776', '16777216'],
  ],
  run,
  seeds,
};
