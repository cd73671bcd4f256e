import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const REPOSITORY = join(import.meta.dirname, '../..');
const page = readFileSync(join(REPOSITORY, 'docs/THREATS.md'), 'utf8');

interface Citation {
  readonly file: string;
  /** Names of tests in it. */
  readonly names: readonly string[];
}

/** A test file in backticks, and the names of its tests in quotation marks behind it. */
const citations: readonly Citation[] = [...page.matchAll(/`([\w./-]+\.test\.ts)`((?:;? ?"[^"]+")*)/g)].map(
  ([, file = '', names = '']) => ({ file, names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name) }),
);

describe('docs/THREATS.md', () => {
  it('names tests, most of them one by one', () => {
    expect(citations.filter(({ names }) => names.length > 0).length).toBeGreaterThan(25);
  });

  it.each(citations)('$file is there, with what is cited of it', ({ file, names }) => {
    const path = join(REPOSITORY, file);
    expect(existsSync(path)).toBe(true);
    const text = readFileSync(path, 'utf8');
    for (const name of names) expect(text).toContain(name);
  });

  it('says for each attempt what is left', () => {
    const tables = page.split(/\n(?=## )/).filter((section) => section.includes('| left |'));
    expect(tables.length).toBeGreaterThan(6);
    for (const row of tables.flatMap((section) => section.match(/^\|.*\|$/gm) ?? []))
      expect([row, row.split('|').length >= 5]).toEqual([row, true]);
  });
});
