import { describe, expect, it } from 'vitest';
import {
  type AlcDatagram,
  classify,
  parseAlc,
  readAsid,
  readEsi,
  readFdtHeader,
  readSbn,
  readSn,
  readToi,
  readTsi,
} from '@sluice/alc';
import { fdtDatagram, mutated, objectDatagram, random } from './samples.ts';

/** The form as the fast path sees it, in the words of the general parser. */
function fastForm(bytes: Uint8Array): 'object' | 'fdt' | 'none' {
  const form = classify(bytes, 0, bytes.length);
  return form === 'object' || form === 'fdt' ? form : 'none';
}

function slowForm(bytes: Uint8Array): 'object' | 'fdt' | 'none' {
  const parsed = parseAlc(bytes);
  return parsed.ok && parsed.value.form !== 'foreign' ? parsed.value.form : 'none';
}

function valueOf(bytes: Uint8Array): AlcDatagram {
  const parsed = parseAlc(bytes);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

describe('fast path and general parser', () => {
  it('read the same from valid datagrams', () => {
    const next = random(1);
    for (let round = 0; round < 300; round++) {
      const bytes = objectDatagram(next, 64 + 16 * (next() % 100));
      const { form, tsi, toi, auth, payload, codepoint } = valueOf(bytes);
      const fast = [
        readTsi(bytes, 0),
        readToi(bytes, 0),
        readAsid(bytes, 0),
        readSn(bytes, 0),
        readSbn(bytes, 0),
        readEsi(bytes, 0),
      ];
      expect([Number(tsi), Number(toi), auth?.asid, auth?.sn, payload?.sbn, payload?.esi]).toEqual(fast);
      expect([form, fastForm(bytes), codepoint]).toEqual(['object', 'object', 5]);
      expect(payload?.symbol).toEqual(bytes.subarray(44));
      expect(auth?.mac).toEqual(bytes.subarray(24, 40));
    }
  });

  it('read the same from valid FDT datagrams', () => {
    const next = random(2);
    for (let round = 0; round < 300; round++) {
      const bytes = fdtDatagram(next, 1408);
      const { form, fdt, fti, time, payload } = valueOf(bytes);
      expect([form, fastForm(bytes)]).toEqual(['fdt', 'fdt']);
      expect(readFdtHeader(bytes, 0, bytes.length)).toEqual({
        instanceId: fdt?.instanceId,
        transferLength: fti?.transferLength,
        symbolBytes: fti?.symbolBytes,
        maxBlock: fti?.maxBlock,
        ntpSeconds: time?.values[0],
        sbn: payload?.sbn,
        esi: payload?.esi,
      });
      expect([fdt?.version, fti?.maxSymbols, time?.use]).toEqual([2, 255, 0x8000]);
      expect(payload?.symbol).toEqual(bytes.subarray(68));
    }
  });

  it('agree on every single-bit change of the header', () => {
    const next = random(3);
    for (const [bytes, size] of [
      [objectDatagram(next), 44],
      [fdtDatagram(next), 68],
    ] as const) {
      for (let bit = 0; bit < size * 8; bit++) {
        const changed = bytes.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect([bit, slowForm(changed)]).toEqual([bit, fastForm(changed)]);
      }
    }
  });

  it('agree on mutated datagrams, at every length, and never throw', () => {
    const next = random(4);
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = mutated(round % 2 === 0 ? objectDatagram(next) : fdtDatagram(next), next);
      const form = fastForm(bytes);
      if (slowForm(bytes) !== form) expect.unreachable(bytes.toHex());
      if (form === 'fdt') readFdtHeader(bytes, 0, bytes.length);
      if (form !== 'none') accepted++;
    }
    expect(accepted).toBeGreaterThan(1000);
  });

  it('are total on random bytes', () => {
    const next = random(5);
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from({ length: next() % 300 }, () => next());
      if (round % 2 === 0 && bytes.length > 2) bytes.set([0x10, next(), next() % 32]);
      expect(slowForm(bytes)).toBe(fastForm(bytes));
    }
  });
});

describe('general parser', () => {
  const parse = (hex: string): ReturnType<typeof parseAlc> => parseAlc(Uint8Array.fromHex(hex.replaceAll(' ', '')));

  it('reads other LCT packets: 48-bit TSI, 80-bit TOI, 128-bit CCI, EXT_NOP, EXT_TIME with two values', () => {
    const cci = '000102030405060708090a0b0c0d0e0f';
    const parsed = parse(`1cd00d00 ${cci} 010203040506 0102030405060708090a 00010000 0203c000 00000001 00000002`);
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        form: 'foreign',
        tsi: 0x010203040506n,
        toi: 0x0102030405060708090an,
        extensions: [{ type: 0 }, { type: 2 }],
        time: { use: 0xc000, values: [1, 2] },
        payload: undefined,
      },
    });
  });

  it('reads a header without TSI and TOI, and close flags', () => {
    const parsed = parse('1003 0200 00000000');
    expect(parsed).toMatchObject({
      ok: true,
      value: { tsi: undefined, toi: undefined, closeSession: true, closeObject: true },
    });
  });

  it.each([
    ['less than one word', '10a00a', 'too-short'],
    ['header longer than the datagram', '10a00a05 00000000 00000001 00000001', 'too-short'],
    ['HDR_LEN below the fixed fields', '10a00305 00000000 00000001 00000001', 'bad-header'],
    ['extension of length 0', '10a00505 00000000 00000001 00000001 00000000', 'bad-extension'],
    ['extension beyond the header', '10a00505 00000000 00000001 00000001 00020000', 'bad-extension'],
    ['EXT_AUTH without room for SN', '10a00505 00000000 00000001 00000001 01010100', 'bad-extension'],
    ['EXT_FTI of two words', '10a00605 00000000 00000001 00000001 40020000 00000000', 'bad-extension'],
    ['EXT_TIME without the value its flag names', '10a00505 00000000 00000001 00000001 02018000', 'bad-extension'],
    ['FEC Payload ID cut', '10a00405 00000000 00000001 00000001 0000', 'too-short'],
  ])('refuses %s', (_, hex, code) => {
    expect(parse(hex)).toEqual({ ok: false, error: code });
  });
});
