// Our JSON parser against the language's: they take the same documents and read the same from them, but for what ours
// refuses on purpose (keys twice, too deep, too many values, and numbers beyond integers where those are asked for).
import { type JsonLimits, parseJson } from '../../../packages/bundle/src/index.ts';
import { duplicateKey } from '../../../packages/base/src/config/duplicates.ts';
import { type FuzzTarget, check, same, utf8 } from '../target.ts';

const LIMITS: JsonLimits = { bytes: 4096, depth: 8, values: 64, numbers: 'any' };

interface Shape {
  values: number;
  depth: number;
}

/** Values and levels of a document. */
function measure(value: unknown, depth: number, shape: Shape): Shape {
  shape.values += 1;
  if (typeof value !== 'object' || value === null) return shape;
  shape.depth = Math.max(shape.depth, depth + 1);
  for (const inner of Object.values(value)) measure(inner, depth + 1, shape);
  return shape;
}

/** As the language reads it; undefined for no JSON. Deeper than the language's own stack goes is nothing here: inputs are short. */
function reference(bytes: Uint8Array): { readonly value: unknown; readonly text: string } | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { value: JSON.parse(text) as unknown, text };
  } catch {
    return undefined;
  }
}

function run(bytes: Uint8Array): void {
  const wanted = reference(bytes);
  const parsed = parseJson(bytes, LIMITS);
  const integers = parseJson(bytes, { ...LIMITS, numbers: 'integers' });
  check(parsed.ok || !integers.ok, 'what is no JSON with any numbers is JSON with integers');
  if (wanted === undefined) {
    check(!parsed.ok, 'what is no JSON to the language is taken');
    return;
  }
  const twice = duplicateKey(wanted.text) !== undefined;
  const { values, depth } = measure(wanted.value, 0, { values: 0, depth: 0 });
  const tooMuch = bytes.length > LIMITS.bytes || values > LIMITS.values || depth > LIMITS.depth;
  if (!parsed.ok) {
    check(twice || tooMuch, `JSON is refused: ${parsed.error.detail}`);
    // The language keeps the last of a key's values, so the text may hold more values than it says, and the limit is met first.
    const codes = ['json-duplicate-key', 'json-malformed'];
    if (!tooMuch) check(codes.includes(parsed.error.code), 'a key twice has another code');
    return;
  }
  check(!twice && !tooMuch, 'a key twice, or too much, is taken');
  same(parsed.value, wanted.value, 'our JSON and the language');
  if (integers.ok) same(integers.value, wanted.value, 'integers');
}

function* seeds(): Generator<Uint8Array> {
  const texts = [
    '{"a":[1,-2,3.5e7,1E-2,0],"b":{"c":null,"d":true,"e":false},"":"x"}',
    '{"a":1,"a":2}',
    '{"\\u0061":1,"a":2}',
    '{"__proto__":{"x":1},"constructor":[],"toString":{}}',
    '"\\u00e9\\n\\t\\b\\f\\r\\/\\\\\\"\\ud800"',
    '[[[[[[[[1]]]]]]]]',
    '[[[[[[[[[1]]]]]]]]]',
    ` [ ${'1,'.repeat(70)}2]`,
    '{"key":1,"other":{"key":2},"third":[{"key":3}]}',
    '-0',
    '1234567890123456',
    '12345678901234567890',
    '01',
    '"a\u0001"',
    '"\\x"',
    '"\\u12g4"',
    '{"a" 1}',
    '{a:1}',
    '[1 2]',
    '{} x',
    'nul',
    '"abc',
    '',
  ];
  for (const text of texts) yield utf8(text);
  yield Uint8Array.of(0x22, 0xff, 0x22);
  yield Uint8Array.of(0xef, 0xbb, 0xbf, 0x31);
  yield utf8(`[${' '.repeat(4100)}]`);
}

export const target: FuzzTarget = {
  about: 'a JSON document: read as the language reads it, and refused where the limits or keys twice say so',
  files: ['packages/bundle/src/json.ts'],
  beside: ['onlyKeys'],
  bytesMax: 4200,
  words: [
    'true',
    'false',
    'null',
    '"__proto__"',
    '"constructor"',
    '\\u0061',
    '\\ud83d\\ude00',
    '1e308',
    '-0',
    '{}',
    '[]',
  ],
  run,
  seeds,
};
