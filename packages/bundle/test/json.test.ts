import { describe, expect, it } from 'vitest';
import { FOREIGN_JSON, type JsonLimits, onlyKeys, parseJson, STATEMENT_JSON } from '../src/json.ts';
import { codeOf, mutated, random, utf8, valueOf } from './samples.ts';

const ANY: JsonLimits = { ...STATEMENT_JSON, numbers: 'any', depth: 64 };
const code = (text: string, limits = STATEMENT_JSON): string => codeOf(parseJson(utf8(text), limits));
const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

describe('JSON', () => {
  it.each<[string, string]>([
    ['nothing', ''],
    ['two documents', '1 2'],
    ['a byte order mark', '\ufeff{}'],
    ['a comma too many', '[1,]'],
    ['a comma missing', '[1 2]'],
    ['a key without quotation marks', '{a:1}'],
    ['no colon', '{"a" 1}'],
    ['a comment', '/* */1'],
    ['a string without an end', '"abc'],
    ['a control character', '"\u0001"'],
    ['an unknown escape', '"\\x41"'],
    ['a short escape', '"\\u004"'],
    ['an inherited name as escape', '"\\constructor"'],
    ['another white space', '\u00a01'],
    ['a leading zero', '01'],
    ['a plus sign', '+1'],
    ['NaN', 'NaN'],
    ['brackets that do not fit', '[}'],
    ['a fraction', '1.0'],
    ['an exponent', '1e3'],
    ['a second spelling of zero', '-0'],
    ['more than a safe integer', '9007199254740992'],
    ['33 levels', nested(33)],
    ['a million levels', '['.repeat(1_000_000)],
  ])('refuses %s', (_what, text) => {
    expect(code(text)).toBe('json-malformed');
  });

  it('refuses what is not UTF-8', () => {
    expect(codeOf(parseJson(Uint8Array.of(0x22, 0xc3, 0x28, 0x22), STATEMENT_JSON))).toBe('json-malformed');
    expect(codeOf(parseJson(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), STATEMENT_JSON))).toBe('json-malformed');
  });

  it.each(['{"a":1,"a":1}', '[{"b":{"a":1,"c":2,"a":3}}]', '{"a":1,"\\u0061":2}', '{"__proto__":1,"__proto__":2}'])(
    'refuses a key that is there twice: %s',
    (text) => {
      expect(code(text)).toBe('json-duplicate-key');
      expect(code(text, ANY)).toBe('json-duplicate-key');
    },
  );

  it('takes a document of the limit and refuses one byte more', () => {
    const limits = { ...STATEMENT_JSON, bytes: 10 };
    expect(code('"12345678"', limits)).toBe('ok');
    expect(code('"123456789"', limits)).toBe('statement-too-large');
  });

  it.each<[string, string, number]>([
    ['items', '[1,[],{}]', 4],
    ['nested values', '[[[[]]]]', 4],
    ['members, not their keys', '{"a":{"b":null},"c":"d"}', 4],
  ])('takes as many values as the limit and refuses one more: %s', (_what, text, values) => {
    expect(code(text, { ...STATEMENT_JSON, values })).toBe('ok');
    expect(code(text, { ...STATEMENT_JSON, values: values - 1 })).toBe('json-malformed');
  });

  it('takes a list of 500,000 texts, the longest of a statement', () => {
    expect(code(`[${'"",'.repeat(499_999)}""]`)).toBe('ok');
  });

  it('refuses sixteen million brackets without a value for each', () => {
    expect(code(`[${'{},'.repeat(5_000_000)}{}]`)).toBe('json-malformed');
  });

  it('takes 32 levels, and the greatest and least safe integer', () => {
    expect(code(nested(32))).toBe('ok');
    expect(valueOf(parseJson(utf8('[9007199254740991,-9007199254740991]'), STATEMENT_JSON))).toEqual([
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
    ]);
  });

  it('takes other numbers in documents that others wrote', () => {
    expect(valueOf(parseJson(utf8('[1.5e3, -0.25, 1E-2]'), FOREIGN_JSON))).toEqual([1500, -0.25, 0.01]);
  });

  it('gives objects that inherit nothing, and that nothing can be given to inherit', () => {
    const value = valueOf(parseJson(utf8('{"__proto__":{"x":1},"constructor":2}'), STATEMENT_JSON)) as object;
    const above = Object.getPrototypeOf(value) as object;
    expect(Reflect.ownKeys(above)).toEqual([]);
    expect(Object.getPrototypeOf(above)).toBeNull();
    expect(Reflect.set(above, 'toString', 1)).toBe(false);
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect('toString' in value).toBe(false);
  });

  it('names an unknown key', () => {
    expect(codeOf(onlyKeys({ a: 1, b: 2 }, ['a', 'b', 'c'], 'x'))).toBe('ok');
    expect(onlyKeys({ a: 1, z: 2 }, ['a'], 'it')).toMatchObject({
      error: { code: 'json-unknown-key', detail: expect.stringContaining('"z"') as string },
    });
  });

  it('reads what JSON.parse reads, and refuses what it refuses, over 20,000 damaged documents', () => {
    const next = random(1);
    const source = utf8(
      '{"a":[1,-2.5,3e2,true,false,null],"b":{"c":"\\u00e9\\ud83d\\ude00 \\n\\"é","d":{}},"e":[[],""]}',
    );
    const seen = { same: 0, malformed: 0 };
    for (let i = 0; i < 20_000; i += 1) {
      const bytes = mutated(source, next);
      const read = parseJson(bytes, ANY);
      const expected = parsedElsewhere(bytes);
      if (expected === undefined) {
        expect(codeOf(read)).toMatch(/^json-/);
        seen.malformed += 1;
      } else if (codeOf(read) !== 'json-duplicate-key') {
        expect(JSON.stringify(valueOf(read))).toBe(expected);
        seen.same += 1;
      }
    }
    expect(Math.min(seen.same, seen.malformed)).toBeGreaterThan(500);
  });

  it('finds a key that is there twice, and only that, in 5,000 random documents', () => {
    const next = random(5);
    let found = 0;
    for (let i = 0; i < 5000; i += 1) {
      const { text, twice } = randomDocument(next, 3);
      expect(code(text), text).toBe(twice ? 'json-duplicate-key' : 'ok');
      if (twice) found += 1;
    }
    expect(found).toBeGreaterThan(500);
    expect(found).toBeLessThan(4500);
  });
});

/** The document as the runtime reads it, spelled anew; undefined when it is none. */
function parsedElsewhere(bytes: Uint8Array): string | undefined {
  try {
    return JSON.stringify(JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)));
  } catch {
    return undefined;
  }
}

/** Objects with one-letter keys; `twice` when one object of them repeats a key. */
function randomDocument(next: () => number, levels: number): { readonly text: string; readonly twice: boolean } {
  if (levels === 0) return { text: String(next() % 10), twice: false };
  const keys = Array.from({ length: next() % 4 }, () => 'abcdefgh'[next() % 8] ?? '');
  const members = keys.map((key) => ({ key, ...randomDocument(next, levels - 1) }));
  return {
    text: `{${members.map(({ key, text }) => `"${key}":${text}`).join(', ')}}`,
    twice: new Set(keys).size < keys.length || members.some((member) => member.twice),
  };
}
