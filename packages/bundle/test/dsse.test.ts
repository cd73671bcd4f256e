import { describe, expect, it } from 'vitest';
import { decodeBase64, encodeBase64 } from '../src/base64.ts';
import { encodeEnvelope, parseEnvelope, preAuthEncoding, SIGNATURES_MAX } from '../src/dsse.ts';
import { codeOf, HEX, json, mutated, random, utf8, valueOf } from './samples.ts';

const TYPE = 'application/vnd.in-toto+json';
const SIGNATURE = { keyid: HEX, sig: 'AAEC' };
const document = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  payloadType: TYPE,
  payload: 'e30=',
  signatures: [SIGNATURE],
  ...over,
});
const code = (over: Record<string, unknown>): string => codeOf(parseEnvelope(json(document(over))));

describe('base64', () => {
  it('agrees with the runtime on every length and byte', () => {
    const next = random(2);
    for (let length = 0; length < 300; length += 1) {
      const bytes = Uint8Array.from({ length }, () => next() & 255);
      const text = Buffer.from(bytes).toString('base64');
      expect(encodeBase64(bytes)).toBe(text);
      expect(decodeBase64(text)).toEqual(bytes);
    }
  });

  it.each([
    'A',
    'AA',
    'AAA',
    'AAAAA',
    'AA==AAAA',
    'A===',
    '====',
    'AB==',
    'AAB=',
    'AA-_',
    'AA A',
    'AAA\n',
    'AAAé',
    '=AAA',
    'AA AA',
    'AAAA\n',
    'A\tAAA',
    '\fAAAA\r',
  ])('refuses %j', (text) => {
    expect(decodeBase64(text)).toBeUndefined();
  });

  it('has one text for one value, over 20,000 random texts', () => {
    const next = random(3);
    const letters = 'ABCDwxyz0189+/=-_ \n';
    let taken = 0;
    for (let i = 0; i < 20_000; i += 1) {
      const text = Array.from({ length: next() % 9 }, () => letters[next() % letters.length] ?? '').join('');
      const bytes = decodeBase64(text);
      if (bytes === undefined) continue;
      expect(encodeBase64(bytes)).toBe(text);
      taken += 1;
    }
    expect(taken).toBeGreaterThan(1000);
  });
});

describe('the envelope', () => {
  it('is spelled in one way', () => {
    const bytes = encodeEnvelope({ payload: utf8('{}'), signatures: [{ keyid: HEX, sig: Uint8Array.of(0, 1, 2) }] });
    expect(Buffer.from(bytes).toString()).toBe(
      `{"payloadType":"${TYPE}","payload":"e30=","signatures":[{"keyid":"${HEX}","sig":"AAEC"}]}\n`,
    );
    expect(encodeEnvelope(valueOf(parseEnvelope(bytes)))).toEqual(bytes);
  });

  it('signs type, payload and their lengths in bytes', () => {
    expect(Buffer.from(preAuthEncoding(utf8('é!'))).toString()).toBe(`DSSEv1 28 ${TYPE} 3 é!`);
    expect(Buffer.from(preAuthEncoding(utf8(''))).toString()).toBe(`DSSEv1 28 ${TYPE} 0 `);
  });

  it('takes no signature, and as many as the limit', () => {
    expect(code({ signatures: [] })).toBe('ok');
    expect(code({ signatures: Array.from({ length: SIGNATURES_MAX }, () => SIGNATURE) })).toBe('ok');
  });

  it.each<[string, string, Record<string, unknown>]>([
    ['another payload type', 'payload-type', { payloadType: 'text/plain' }],
    ['no payload type', 'payload-type', { payloadType: undefined }],
    ['a payload that is not base64', 'envelope-malformed', { payload: 'e30' }],
    ['no payload', 'envelope-malformed', { payload: undefined }],
    ['URL-safe base64', 'envelope-malformed', { payload: '_-8=' }],
    ['no signatures', 'envelope-malformed', { signatures: undefined }],
    ['17 signatures', 'envelope-malformed', { signatures: Array.from({ length: 17 }, () => SIGNATURE) }],
    ['a signature that is no object', 'envelope-malformed', { signatures: ['AAEC'] }],
    ['a signature of over 1024 bytes', 'envelope-malformed', { signatures: [{ keyid: HEX, sig: 'AAAA'.repeat(342) }] }],
    ['a short keyid', 'envelope-malformed', { signatures: [{ ...SIGNATURE, keyid: 'ab' }] }],
    ['an upper-case keyid', 'envelope-malformed', { signatures: [{ ...SIGNATURE, keyid: HEX.toUpperCase() }] }],
    ['no keyid', 'envelope-malformed', { signatures: [{ sig: 'AAEC' }] }],
    ['another key', 'json-unknown-key', { extra: 1 }],
    ['another key in a signature', 'json-unknown-key', { signatures: [{ ...SIGNATURE, cert: 'x' }] }],
  ])('with %s is refused: %s', (_what, expected, over) => {
    expect(code(over)).toBe(expected);
  });

  it.each<[string, string]>([
    ['keys', `{${Array.from({ length: 100 }, (_, i) => `"k${String(i)}":1`).join(',')}}`],
    ['signatures', `{"payloadType":"${TYPE}","payload":"","signatures":[${'{},'.repeat(100)}{}]}`],
    ['levels', `{"payloadType":"${TYPE}","payload":"","signatures":[{"sig":[]}]}`],
  ])('is read no further than an envelope has %s', (_what, text) => {
    expect(codeOf(parseEnvelope(utf8(text)))).toBe('json-malformed');
  });

  it.each([[[]], [null], ['x'], [7]])('is no %j', (value) => {
    expect(codeOf(parseEnvelope(json(value)))).toBe('envelope-malformed');
  });

  it('is never thrown over when damaged', () => {
    const next = random(4);
    const source = json(document());
    for (let i = 0; i < 20_000; i += 1) {
      const read = parseEnvelope(mutated(source, next));
      if (read.ok) expect(valueOf(parseEnvelope(encodeEnvelope(read.value)))).toEqual(read.value);
    }
  });
});
