import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hexOf } from '@sluice/ports';
import { Quarantine } from '../src/quarantine.ts';
import { digestOf } from './bundles.ts';
import { scratch } from './receiver.ts';

const digest = (name: string) => digestOf(Buffer.from(name));
const REFUSAL = { code: 'signer-unknown', detail: 'nobody\nwe know \u001b[31m' } as const;

function statement(name: string) {
  const path = join(scratch(), name.slice(0, 10));
  writeFileSync(path, name);
  return { channel: 'prod', key: 'k', digest: digest(name), size: name.length, contentType: 'x', path };
}

describe('quarantine', () => {
  it('keeps the statements under their digests, and says why in JSON', async () => {
    const root = join(scratch(), 'not/there/yet');
    const id = digest('bundle');
    await new Quarantine(root, 10).keep(id, 'prod', REFUSAL, [statement('one'), statement('two')]);
    const place = join(root, hexOf(id));
    expect(readFileSync(join(place, `${hexOf(digest('one'))}.dsse.json`), 'utf8')).toBe('one');
    const text = readFileSync(join(place, 'reason.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ bundle: id, channel: 'prod', ...REFUSAL });
    expect(text).not.toContain('\u001b');
    // Kept twice, after a crash: the same.
    await new Quarantine(root, 10).keep(id, 'prod', REFUSAL, [statement('one')]);
    expect(readdirSync(root)).toEqual([hexOf(id)]);
  });

  it('is bounded: the oldest go, never the one just kept, and nothing that is not ours', async () => {
    const root = scratch();
    mkdirSync(join(root, 'notes'));
    writeFileSync(join(root, 'list.txt'), 'by hand');
    const quarantine = new Quarantine(root, 3);
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const [at, name] of names.entries()) {
      await quarantine.keep(digest(name), 'prod', REFUSAL, []);
      utimesSync(join(root, hexOf(digest(name))), 1000 + at, 1000 + at);
    }
    const there = (): string[] => names.filter((name) => existsSync(join(root, hexOf(digest(name)))));
    expect(there()).toEqual(['c', 'd', 'e']);
    // The clock went back to 1970: what comes now looks older than all.
    for (const name of ['c', 'd', 'e']) utimesSync(join(root, hexOf(digest(name))), 4e9, 4e9);
    await quarantine.keep(digest('b'), 'prod', REFUSAL, []);
    expect(there()).toContain('b');
    expect(there()).toHaveLength(3);
    expect(existsSync(join(root, 'notes'))).toBe(true);
    expect(existsSync(join(root, 'list.txt'))).toBe(true);
  });

  it('is bounded in bytes and in time, too', async () => {
    const root = scratch();
    const forMs = 86_400_000;
    const there = (): string[] => ['a', 'b', 'c', 'd'].filter((name) => existsSync(join(root, hexOf(digest(name)))));
    const keep = (name: string, bytes: number): Promise<void> =>
      new Quarantine(root, { bundles: 100, bytes, forMs }).keep(digest(name), 'prod', REFUSAL, [
        statement(name.repeat(10_000)),
      ]);
    for (const [ago, name] of ['c', 'b', 'a'].entries()) {
      await keep(name, 1e9);
      const seconds = Date.now() / 1000 - 3600 * (ago + 1);
      utimesSync(join(root, hexOf(digest(name))), seconds, seconds);
    }
    expect(there()).toEqual(['a', 'b', 'c']);
    await keep('d', 25_000);
    expect(there()).toEqual(['c', 'd']);
    const old = Date.now() / 1000 - 100_000;
    utimesSync(join(root, hexOf(digest('c'))), old, old);
    // The latest stays however large it is.
    await keep('d', 1);
    expect(there()).toEqual(['d']);
    utimesSync(join(root, hexOf(digest('d'))), old, old);
    await keep('a', 1e9);
    expect(there()).toEqual(['a']);
  });

  it('two at a time are not in the way of each other', async () => {
    const root = scratch();
    const quarantine = new Quarantine(root, 2);
    const all = Array.from({ length: 20 }, (_, n) => digest(`bundle ${n}`));
    await Promise.all(all.map((id) => quarantine.keep(id, 'prod', REFUSAL, [])));
    await quarantine.keep(digest('last'), 'prod', REFUSAL, []);
    expect(readdirSync(root)).toHaveLength(2);
    expect(existsSync(join(root, hexOf(digest('last')), 'reason.json'))).toBe(true);
  });
});
