import { describe, expect, it } from 'vitest';
import {
  FDT_HEADER_BYTES,
  HEADER_BYTES,
  SN_MAX,
  type ObjectFields,
  classify,
  isExpired,
  epochAt,
  makeTsi,
  ntpFromUnix,
  readAsid,
  readEsi,
  readFdtHeader,
  readSbn,
  readSn,
  readToi,
  readTsi,
  setSn,
  tsiClass,
  tsiEpoch,
  writeFdtHeader,
  writeObjectHeader,
} from '@sluice/alc';

const fields: ObjectFields = { tsi: 0x40000102, toi: 0x01020304, asid: 9, sn: 0x0102030405, sbn: 0x0a0b0c, esi: 0xfe };
const hex = (bytes: Uint8Array): string => bytes.toHex();

describe('headers', () => {
  it('writes the 44 bytes of PROTOCOL.md section 1, at any offset, and leaves the tag alone', () => {
    const bytes = new Uint8Array(200).fill(0xee);
    writeObjectHeader(bytes, 3, fields);
    expect(hex(bytes.subarray(3, 3 + HEADER_BYTES))).toBe(
      [
        '10a00a05',
        '00000000',
        '40000102',
        '01020304',
        '0106',
        '91',
        '0102030405',
        'ee'.repeat(16),
        '0a0b0c',
        'fe',
      ].join(''),
    );
    expect(hex(bytes.subarray(0, 3)) + hex(bytes.subarray(47, 49))).toBe('eeeeeeeeee');
  });

  it('writes the 68 bytes of an FDT Instance', () => {
    const bytes = new Uint8Array(108);
    const fdt = { instanceId: 0xabcde, transferLength: 0xf123, symbolBytes: 40, maxBlock: 200, ntpSeconds: 0xdeadbeef };
    writeFdtHeader(bytes, 0, { ...fields, ...fdt, sbn: 1 });
    expect(hex(bytes.subarray(0, FDT_HEADER_BYTES))).toBe(
      '10a0100500000000400001020000000001069101020304050000000000000000000000000000000000'.slice(0, 80) +
        'c02abcde' +
        '4003' +
        '00000000f123' +
        '0028' +
        'c8' +
        'ff' +
        '02028000' +
        'deadbeef' +
        '000001' +
        'fe',
    );
    expect(readFdtHeader(bytes, 0, 108)).toEqual({ ...fdt, sbn: 1, esi: 0xfe });
  });

  it('reads back every field, at an offset', () => {
    const bytes = new Uint8Array(1000);
    writeObjectHeader(bytes, 5, fields);
    expect(classify(bytes, 5, 108)).toBe('object');
    const read = [readTsi, readToi, readAsid, readSn, readSbn, readEsi].map((reader) => reader(bytes, 5));
    expect(read).toEqual([fields.tsi, fields.toi, fields.asid, fields.sn, fields.sbn, fields.esi]);
    setSn(bytes, 5, SN_MAX);
    expect(readSn(bytes, 5)).toBe(SN_MAX);
  });

  it.each([
    { sn: 0 },
    { sn: 2 ** 40 },
    { toi: 0 },
    { toi: 2 ** 32 },
    { esi: 255 },
    { asid: 16 },
    { sbn: 2 ** 24 },
    { tsi: 0 },
    { tsi: NaN },
  ])('refuses to write %o: a bug of the caller', (wrong) => {
    expect(() => {
      writeObjectHeader(new Uint8Array(108), 0, { ...fields, ...wrong });
    }).toThrow(/is not within/);
  });
});

describe('TSI', () => {
  it('has the class in the top two bits and the epoch below', () => {
    expect([makeTsi('live', 5), makeTsi('media', 5), makeTsi('repair', 5)]).toEqual([5, 0x40000005, 0x80000005]);
    const greatest = makeTsi('repair', 2 ** 30 - 1);
    expect([tsiClass(greatest), tsiEpoch(greatest)]).toEqual(['repair', 2 ** 30 - 1]);
    expect(tsiClass(0xc0000001)).toBeUndefined();
    expect(() => makeTsi('live', 0)).toThrow();
    expect(() => makeTsi('live', 2 ** 30)).toThrow();
  });

  it('has the seconds since 2020 for an epoch', () => {
    const start = Date.UTC(2020, 0, 1) / 1000;
    expect([epochAt(start), epochAt(start + 7.9), epochAt(0)]).toEqual([0, 7, -start]);
  });
});

describe('NTP time', () => {
  const unix = (text: string): number => Date.parse(text) / 1000;

  it('wraps in February 2036, as RFC 6726 section 3.3 computes', () => {
    expect(ntpFromUnix(unix('2036-02-07T00:00:00Z'))).toBe(4_294_944_000);
    expect(ntpFromUnix(unix('2036-02-08T00:00:00Z'))).toBe(63_104);
    expect(ntpFromUnix(unix('2036-02-09T00:00:00Z'))).toBe(149_504);
    expect(ntpFromUnix(0)).toBe(2_208_988_800);
  });

  it.each([
    ['2036-02-07T00:00:00Z', '2036-02-09T00:00:00Z', false],
    ['2036-02-08T00:00:00Z', '2036-02-09T00:00:00Z', false],
    ['2036-02-09T00:00:01Z', '2036-02-09T00:00:00Z', true],
    ['2036-02-08T00:00:00Z', '2036-02-07T00:00:00Z', true],
    ['2040-01-01T00:00:00Z', '2040-01-01T01:00:00Z', false],
    ['2040-01-01T01:00:00Z', '2040-01-01T01:00:00Z', false],
    ['2026-01-01T00:00:01Z', '2026-01-01T00:00:00Z', true],
    ['1970-01-01T00:00:00Z', '1970-01-01T01:00:00Z', false],
  ])('at %s, expiry at %s: expired %s', (now, expires, expired) => {
    expect(isExpired(ntpFromUnix(unix(expires)), ntpFromUnix(unix(now)))).toBe(expired);
  });
});
