import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { rankFaults } from '../ranks.ts';

let root = '';
afterEach(() => {
  rmSync(root, { recursive: true });
});

const FILES: Readonly<Record<string, string>> = {
  ports: '0',
  alc: '0 ports',
  transfer: '1 ports alc',
  udp: '2 ports koffi',
  pcapng: '2 ports',
  trust: '2 ports alc',
  base: '3 ports',
  link: '4 ports udp trust base',
  sender: '4 ports udp pcapng base',
  cli: '5 sender link',
  testkit: 'aside ports',
};

/** A small workspace in good order, with `files` (path to source) added and the manifests of `changed` packages replaced. */
function faults(files: Readonly<Record<string, string>>, changed: Readonly<Record<string, string>> = {}): string[] {
  root = mkdtempSync(join(tmpdir(), 'sluice-ranks-'));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  write('package.json', '{"name":"sluice","devDependencies":{"vitest":"5.0.0"}}');
  for (const [name, line] of Object.entries({ ...FILES, ...changed })) {
    const [rank, ...names] = line.split(' ');
    const dependencies = Object.fromEntries(
      names.map((each) =>
        each in FILES ? [`@sluice/${each}`, 'workspace:*'] : [each.replace(/@.*/, ''), each.split('@')[1] ?? '1.2.3'],
      ),
    );
    write(
      `packages/${name}/package.json`,
      JSON.stringify({ name: `@sluice/${name}`, rank: rank === 'aside' ? rank : Number(rank), dependencies }),
    );
  }
  for (const [path, text] of Object.entries(files)) write(`packages/${path}`, text);
  return rankFaults(root);
}

describe('the ranks', () => {
  it('let the good directions through', () => {
    expect(
      faults({
        'alc/src/index.ts': "import type { A } from '@sluice/ports';\nexport { b } from './inner/b.ts';",
        'alc/src/inner/b.ts': "import { c } from '../c.ts';",
        'udp/src/index.ts': "import koffi from 'koffi'; import { readFile } from 'node:fs/promises';",
        'cli/src/index.ts': "const link = await import('@sluice/link');",
        'testkit/src/index.ts': "import { it } from 'vitest'; import type { A } from '@sluice/ports';",
        'alc/test/a.test.ts': "import '@sluice/testkit'; import '../../udp/src/index.ts';",
      }),
    ).toEqual([]);
  });

  it.each([
    [
      'alc/src/a.ts',
      "import '@sluice/udp'",
      '@sluice/udp, which its package.json does not declare under "dependencies"',
    ],
    [
      'alc/src/a.ts',
      "import { readFileSync } from 'node:fs'",
      'node:fs, but ranks 0 and 1 do no I/O: have it handed in',
    ],
    ['udp/src/a.ts', "import fs from 'fs'", 'fs; write node:fs'],
    [
      'udp/src/a.ts',
      "import '../test/fake.ts'",
      "../test/fake.ts, which is outside its package's src; import the package by name",
    ],
    [
      'udp/src/a.ts',
      "export * from '../../base/src/log.ts'",
      "../../base/src/log.ts, which is outside its package's src; import the package by name",
    ],
    [
      'udp/src/a.ts',
      "import '@sluice/ports/src/x.ts'",
      "@sluice/ports/src/x.ts; only the package's entry @sluice/ports is public",
    ],
    [
      'link/src/a.ts',
      "const x = await import('lodash')",
      'lodash, which its package.json does not declare under "dependencies"',
    ],
    [
      'link/src/a.ts',
      "import type { X } from '@scope/x/deep'",
      '@scope/x/deep, which its package.json does not declare under "dependencies"',
    ],
    [
      'link/src/a.ts',
      "import '@sluice/testkit'",
      '@sluice/testkit, which its package.json does not declare under "dependencies"',
    ],
  ])('refuse in %s: %s', (path, text, sentence) => {
    expect(faults({ [path]: text })).toEqual([`packages/${path} imports ${sentence}.`]);
  });

  it.each([
    ['alc', '0 ports transfer', '@sluice/transfer of rank 1, but rank 0 imports only lower ranks'],
    ['pcapng', '2 ports udp', '@sluice/udp: adapters never import each other'],
    ['sender', '4 base link', '@sluice/link: daemons never import each other'],
    ['sender', '4 base testkit', '@sluice/testkit, which only tests may import'],
  ])('refuse that %s declares %s', (name, line, sentence) => {
    const [fault, ...others] = faults({}, { [name]: line });
    expect([fault, others]).toEqual([`@sluice/${name} declares ${sentence}.`, []]);
  });

  it('let an adapter use trust', () => {
    expect(faults({}, { pcapng: '2 ports trust' })).toEqual([]);
  });

  it('keep third-party code out of the wire-facing process', () => {
    expect(faults({}, { base: '3 ports pino' })).toEqual([
      '@sluice/link would load pino (by @sluice/link -> @sluice/base), but may load no third-party code except koffi.',
    ]);
  });

  it('want exact versions', () => {
    expect(faults({}, { pcapng: '2 ports long@^5.0.0' })).toEqual([
      '@sluice/pcapng declares long as "^5.0.0"; write the exact version.',
    ]);
  });

  it('want a rank for every package', () => {
    expect(() => faults({}, { pcapng: 'x ports' })).toThrow('packages/pcapng/package.json has no "rank"');
  });
});
