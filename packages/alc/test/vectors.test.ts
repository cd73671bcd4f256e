import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DATAGRAM_CODES } from '@sluice/ports';
import { classify, parseAlc, parseFdt, readFdtHeader } from '@sluice/alc';

const DIRECTORY = new URL('../../../test/vectors/alc/', import.meta.url);
const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.hex'));

/** First line: `# ` and the expected code. Other lines that start with `#` are prose, the rest is hexadecimal. */
function vector(name: string): { readonly expected: string; readonly bytes: Uint8Array } {
  const lines = readFileSync(new URL(name, DIRECTORY), 'utf8').split('\n');
  const body = lines.filter((line) => !line.startsWith('#')).join('');
  return { expected: lines[0]?.slice(2) ?? '', bytes: Uint8Array.fromHex(body) };
}

function datagramCode(bytes: Uint8Array): string {
  const form = classify(bytes, 0, bytes.length);
  const header = form === 'fdt' ? readFdtHeader(bytes, 0, bytes.length) : form;
  const parsed = parseAlc(bytes);
  expect(parsed.ok && parsed.value.form !== 'foreign').toBe(form === 'object' || form === 'fdt');
  return typeof header === 'string' ? header : 'fdt';
}

function fdtCode(bytes: Uint8Array): string {
  const parsed = parseFdt(bytes);
  return parsed.ok ? 'valid' : parsed.error;
}

describe('vectors', () => {
  it.each(names.filter((name) => name.startsWith('datagram-')))('%s', (name) => {
    const { expected, bytes } = vector(name);
    expect(datagramCode(bytes)).toBe(expected);
  });

  it.each(names.filter((name) => name.startsWith('fdt-')))('%s', (name) => {
    const { expected, bytes } = vector(name);
    expect(fdtCode(bytes)).toBe(expected);
  });

  it('are all replayed', () => {
    expect(names.length).toBeGreaterThan(100);
    expect(names.filter((name) => !/^(datagram|fdt)-/.test(name))).toEqual([]);
  });
});

describe('PROTOCOL.md section 10', () => {
  const text = readFileSync(new URL('../../../docs/PROTOCOL.md', import.meta.url), 'utf8');
  const section = text.slice(text.indexOf('\n## 10.'), text.indexOf('\n## 11.'));
  const listed = [...section.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map((match) => match[1]);

  it('lists every code of a datagram, each once', () => {
    expect(listed.toSorted()).toEqual([...DATAGRAM_CODES].toSorted());
  });

  it('has a vector for every code that this package decides', () => {
    const expected = new Set(names.map((name) => vector(name).expected));
    const decided = [
      'too-short',
      'too-long',
      'not-lct-1',
      'bad-length',
      'bad-header',
      'bad-extension',
      'unknown-class',
    ];
    const more = ['bad-esi', 'bad-fti', 'fdt-too-large', 'bad-sbn', 'fdt-malformed', 'object-too-large'];
    for (const code of [...decided, ...more]) expect(expected).toContain(code);
    for (const code of expected) expect(['object', 'fdt', 'valid', ...DATAGRAM_CODES]).toContain(code);
  });
});
