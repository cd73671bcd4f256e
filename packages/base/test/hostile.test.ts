import { escapeJson, hostile, HOSTILE_TEXT_MAX, htmlText, metricLabel, terminalText } from '@sluice/ports';
import { expect, it } from 'vitest';

const shown = (text: string): string => terminalText(hostile(text));

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
  expect(terminalText(hostile('abcdef', 3))).toBe('abc…');
});

it('cuts no character in half', () => {
  expect(terminalText(hostile('ab😀', 3))).toBe('ab…');
  expect(terminalText(hostile('a😀b', 3))).toBe('a😀…');
});

const EVIL = '<img src=x onerror="alert(\'1\')">&\u001b[31m\u202egpj\u009b2J\u{e0041}\u200d';

it('is text and nothing else in HTML', () => {
  expect(htmlText(hostile(EVIL))).toBe(
    '&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;\\u001b[31m\\u202egpj\\u009b2J\\u{e0041}\\u200d',
  );
});

it('leaves a JSON document by value as it was, and without a character that a terminal obeys', () => {
  const json = escapeJson(JSON.stringify({ name: EVIL, list: ['\u2028'] }, undefined, 2));
  expect(json).not.toMatch(/[^\u0020-\u007e\n]/);
  expect(JSON.parse(json)).toEqual({ name: EVIL, list: ['\u2028'] });
});

it('is a metric label only when it is one of the known', () => {
  expect(metricLabel('bad-tag', ['bad-tag', 'budget'])).toBe('bad-tag');
  expect(metricLabel(EVIL, ['bad-tag', 'budget'])).toBe('other');
});
