// One UDP payload: the fast path (classify) against the general parser, and both against the writer.
import {
  FDT_HEADER_BYTES,
  HEADER_BYTES,
  TAG_OFFSET,
  classify,
  ntpFromUnix,
  parseAlc,
  readAsid,
  readEsi,
  readFdtHeader,
  readSbn,
  readSn,
  readToi,
  readTsi,
  writeFdtHeader,
  writeObjectHeader,
} from '../../../packages/alc/src/index.ts';
import { type FuzzTarget, check, joined, same, sameBytes } from '../target.ts';

const TAG_BYTES = 16;

function common(bytes: Uint8Array) {
  return { tsi: readTsi(bytes, 0), asid: readAsid(bytes, 0), sn: readSn(bytes, 0) };
}

/** What the writer makes of the fields that were read, under the tag that was there. */
function written(bytes: Uint8Array, headerBytes: number, write: (into: Uint8Array) => void): Uint8Array {
  const again = new Uint8Array(headerBytes);
  write(again);
  again.set(bytes.subarray(TAG_OFFSET, TAG_OFFSET + TAG_BYTES), TAG_OFFSET);
  return again;
}

function object(bytes: Uint8Array): void {
  const fields = { ...common(bytes), toi: readToi(bytes, 0), sbn: readSbn(bytes, 0), esi: readEsi(bytes, 0) };
  if (fields.tsi === 0) return;
  const again = written(bytes, HEADER_BYTES, (into) => writeObjectHeader(into, 0, fields));
  sameBytes(again, bytes.subarray(0, HEADER_BYTES), 'an object header read and written again');
}

function fdt(bytes: Uint8Array): void {
  const header = readFdtHeader(bytes, 0, bytes.length);
  if (typeof header === 'string') return;
  const parsed = parseAlc(bytes);
  check(parsed.ok && parsed.value.form === 'fdt', 'an FDT datagram is one to the general parser');
  const { fdt: instance, fti, time, payload } = parsed.value;
  same(
    { ...header, symbol: bytes.subarray(FDT_HEADER_BYTES) },
    {
      instanceId: instance?.instanceId,
      transferLength: fti?.transferLength,
      symbolBytes: fti?.symbolBytes,
      maxBlock: fti?.maxBlock,
      ntpSeconds: time?.values[0],
      sbn: payload?.sbn,
      esi: payload?.esi,
      symbol: payload?.symbol,
    },
    'fast path and general parser of an FDT datagram',
  );
  const fields = { ...common(bytes), ...header };
  if (fields.tsi === 0) return;
  const again = written(bytes, FDT_HEADER_BYTES, (into) => writeFdtHeader(into, 0, fields));
  sameBytes(again, bytes.subarray(0, FDT_HEADER_BYTES), 'an FDT header read and written again');
}

function run(bytes: Uint8Array): void {
  const form = classify(bytes, 0, bytes.length);
  const parsed = parseAlc(bytes);
  const slow = parsed.ok ? parsed.value.form : 'none';
  const isForm = form === 'object' || form === 'fdt';
  check(isForm ? slow === form : slow === 'none' || slow === 'foreign', `fast path ${form}, general parser ${slow}`);
  if (parsed.ok) {
    const { headerBytes, extensions } = parsed.value;
    const sizes = extensions.reduce((sum, { type, content }) => sum + content.length + (type < 128 ? 2 : 1), 0);
    check(headerBytes <= bytes.length && sizes <= headerBytes, 'the extensions are longer than the header');
  }
  if (form === 'object') object(bytes);
  if (form === 'fdt') fdt(bytes);
}

const COMMON = { tsi: 77, asid: 3, sn: 0x1_0203_0405, sbn: 0, esi: 254 };
const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(' ', ''));

function* seeds(): Generator<Uint8Array> {
  const plain = new Uint8Array(HEADER_BYTES + 64).fill(9);
  writeObjectHeader(plain, 0, { ...COMMON, toi: 5, sbn: 0x10203 });
  yield plain;
  yield joined(plain, new Uint8Array(16));
  const instance = new Uint8Array(FDT_HEADER_BYTES + 40).fill(9);
  const shape = { instanceId: 6, transferLength: 900, symbolBytes: 40, maxBlock: 200, ntpSeconds: ntpFromUnix(2e9) };
  writeFdtHeader(instance, 0, { ...COMMON, ...shape });
  yield instance;
  for (const whole of [plain, instance]) {
    for (let bit = 0; bit < whole.length * 8; bit += 3) {
      const flipped = whole.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      yield flipped;
    }
  }
  // One field each that the reader of FDT headers judges.
  for (const [at, value] of [
    [43, 0],
    [55, 254],
    [53, 1],
    [54, 0],
    [46, 1],
    [64, 1],
  ] as const) {
    const changed = instance.slice();
    if (at === 43) changed.fill(0, 41, 44);
    changed[at] = value;
    yield changed;
  }
  // Other LCT: wide fields, EXT_NOP, EXT_TIME of two values, no TSI and no TOI.
  const cci = '000102030405060708090a0b0c0d0e0f';
  yield hex(`1cd00d00 ${cci} 010203040506 0102030405060708090a 00010000 0203c000 00000001 00000002`);
  yield hex('1003 0200 00000000');
  yield hex('10a00505 00000000 00000001 00000001 01010100');
  yield hex('10a00605 00000000 00000001 00000001 40020000 00000000');
  yield hex('10a00505 00000000 00000001 00000001 02018000');
  yield hex('10a00405 00000000 00000001 00000001 0000');
}

export const target: FuzzTarget = {
  about: 'a datagram: fast path and general parser agree, and what they read is written again as it was',
  files: ['packages/alc/src/classify.ts', 'packages/alc/src/parse.ts', 'packages/alc/src/bytes.ts'],
  bytesMax: 512,
  run,
  seeds,
};
