import { expect, it } from 'vitest';
import { hostile, HOSTILE_TEXT_MAX, printable } from '../src/text.ts';

const shown = (text: string): string => printable(hostile(text));

it.each<[string, string, string]>([
  ['plain text of any script', 'grün, 緑, 🟢 "x" <b> \\n', 'grün, 緑, 🟢 "x" <b> \\n'],
  ['a line feed', 'a\nb', 'a\\u000ab'],
  ['a terminal sequence', '\u001b[2Jx', '\\u001b[2Jx'],
  ['a C1 control', '\u009b2J', '\\u009b2J'],
  ['delete', '\u007f', '\\u007f'],
  ['a right-to-left override', 'gpj.\u202eexe', 'gpj.\\u202eexe'],
  ['an isolate', '\u2066x\u2069', '\\u2066x\\u2069'],
  ['the Arabic letter mark', '\u061cx', '\\u061cx'],
  ['line and paragraph separators', '\u2028\u2029', '\\u2028\\u2029'],
  ['a zero-width joiner', 'a\u200db', 'a\\u200db'],
  ['a soft hyphen', 'a\u00adb', 'a\\u00adb'],
  ['a tag character', '\u{e0041}', '\\u{e0041}'],
  ['half a character', 'a\ud83d', 'a\\ud83d'],
])('shows %s', (_what, text, expected) => {
  expect(shown(text)).toBe(expected);
});

it('cuts long text and marks the cut', () => {
  expect(shown('x'.repeat(HOSTILE_TEXT_MAX))).toBe('x'.repeat(HOSTILE_TEXT_MAX));
  expect(shown('x'.repeat(HOSTILE_TEXT_MAX + 1))).toBe(`${'x'.repeat(HOSTILE_TEXT_MAX)}…`);
  expect(printable(hostile('abcdef', 3))).toBe('abc…');
});
