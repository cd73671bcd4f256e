import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '@sluice/base';
import { encodeTransport, parseEnvelope, parseRelease, preAuthEncoding } from '@sluice/bundle';
import { signEnvelope, loadSigner } from '@sluice/trust';
import { missing } from '../../../test/harbor/needs.ts';
import { scratch, sluice } from './sluice.ts';

const TIMEOUT_MS = 120_000;
const absent = missing('openssl', 'umoci');
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });

/** Runs a command that writes its result to a file. */
function made(file: string, ...args: readonly string[]): string {
  const { status, out, err } = sluice(...args);
  if (status !== 0) throw new Error(err);
  writeFileSync(file, out);
  return file;
}

describe('keys', { timeout: TIMEOUT_MS }, () => {
  it('are for their owner alone, whatever the umask, and are never written over', () => {
    const dir = scratch();
    const before = process.umask(0);
    try {
      for (const algorithm of ['Ed25519', 'ECDSA-P256', 'ECDSA-P384']) {
        const prefix = join(dir, algorithm);
        const { status, out } = sluice('keys', 'generate', '--out', prefix, '--algorithm', algorithm);
        expect(status).toBe(EXIT.ok);
        expect(out).toMatch(/^[0-9a-f]{64}\n$/);
        expect(statSync(`${prefix}.key.pem`).mode & 0o777).toBe(0o600);
        expect(statSync(`${prefix}.pub.pem`).mode & 0o777).toBe(0o644);
        const der = execFileSync('openssl', ['pkey', '-pubin', '-in', `${prefix}.pub.pem`, '-outform', 'DER']);
        const hash = execFileSync('openssl', ['dgst', '-sha256', '-r'], { input: der, encoding: 'utf8' });
        expect(out.trim()).toBe(hash.slice(0, 64));
      }
      expect(sluice('keys', 'link', '--out', join(dir, 'link')).status).toBe(EXIT.ok);
      expect(statSync(join(dir, 'link')).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(dir, 'link'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    } finally {
      process.umask(before);
    }
    const files = ['Ed25519.key.pem', 'Ed25519.pub.pem', 'link'].map((name) => join(dir, name));
    const held = files.map((file) => readFileSync(file, 'utf8'));
    expect(sluice('keys', 'generate', '--out', join(dir, 'Ed25519'))).toMatchObject({ status: EXIT.failed, out: '' });
    expect(sluice('keys', 'link', '--out', join(dir, 'link')).status).toBe(EXIT.failed);
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(held);
    // Half a pair is not made either.
    writeFileSync(join(dir, 'half.pub.pem'), 'another');
    const { err } = sluice('keys', 'generate', '--out', join(dir, 'half'));
    expect(err).toContain('half.pub.pem is there already');
    expect(existsSync(join(dir, 'half.key.pem'))).toBe(false);
  });
});

describe.skipIf(absent !== undefined)(
  `releases${absent === undefined ? '' : `: ${absent} is not installed`}`,
  { timeout: TIMEOUT_MS },
  () => {
    /** A release of a file. */
    function statement(dir: string, text = 'some notes'): string {
      writeFileSync(join(dir, 'notes.txt'), text);
      return made(
        join(dir, 'release.json'),
        'release',
        'create',
        '--name',
        'platform 2026.11',
        '--approved-by',
        'Ada L.',
        join(dir, 'notes.txt'),
      );
    }

    it('names a real image and a file, their digests and where they go', () => {
      const dir = scratch();
      const image = `${join(dir, 'layout')}:1.35`;
      execFileSync('umoci', ['init', '--layout', join(dir, 'layout')]);
      execFileSync('umoci', ['new', '--image', image]);
      execFileSync('umoci', ['insert', '--image', image, '/bin/true', '/bin/true']);
      writeFileSync(join(dir, 'notes.txt'), 'some notes');
      const created = sluice(
        'release',
        'create',
        '--name',
        'n',
        '--repository',
        'library/app',
        join(dir, 'layout'),
        join(dir, 'notes.txt'),
      );
      expect(created.status).toBe(EXIT.ok);
      const release = parseRelease(Buffer.from(created.out.trim()));
      if (!release.ok) throw new Error(release.error.detail);
      const [file, app] = release.value.artifacts.toSorted((a, b) => a.type.localeCompare(b.type));
      const index = JSON.parse(readFileSync(join(dir, 'layout/index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      };
      expect(app).toMatchObject({
        type: 'image',
        digest: index.manifests[0]?.digest,
        target: { repository: 'library/app', tags: ['1.35'] },
      });
      const sum = execFileSync('sha256sum', [join(dir, 'notes.txt')], { encoding: 'utf8' });
      expect(file).toMatchObject({
        type: 'file',
        digest: `sha256:${sum.slice(0, 64)}`,
        size: 10,
        target: { path: 'notes.txt' },
      });
    });

    it('go round with keys of every kind, made here or by OpenSSL, one signature after the other', () => {
      const dir = scratch();
      const path = (name: string): string => join(dir, name);
      for (const algorithm of ['Ed25519', 'ECDSA-P256', 'ECDSA-P384'])
        sluice('keys', 'generate', '--out', path(algorithm), '--algorithm', algorithm);
      openssl('genpkey', '-algorithm', 'ED25519', '-out', path('o-ed.key.pem'));
      openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path('o-sec1.key.pem'));
      openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384', '-out', path('o-p384.key.pem'));
      for (const name of ['o-ed', 'o-sec1', 'o-p384'])
        openssl('pkey', '-in', path(`${name}.key.pem`), '-pubout', '-out', path(`${name}.pub.pem`));
      const names = ['Ed25519', 'ECDSA-P256', 'ECDSA-P384', 'o-ed', 'o-sec1', 'o-p384'];
      let signed = statement(dir);
      for (const name of names)
        signed = made(path(`${name}.signed`), 'release', 'sign', '--key', path(`${name}.key.pem`), signed);

      const keys = names.flatMap((name) => ['--key', path(`${name}.pub.pem`)]);
      const verified = sluice('release', 'verify', ...keys, signed);
      expect(verified.status).toBe(EXIT.ok);
      expect(verified.out.match(/^[0-9a-f]{64} signed$/gm)).toHaveLength(names.length);
      expect(verified.out).toMatch(/^file notes\.txt sha256:[0-9a-f]{64}$/m);

      // OpenSSL finds the same in it, from the bytes that DSSE says are signed.
      const envelope = parseEnvelope(readFileSync(signed));
      if (!envelope.ok) throw new Error(envelope.error.detail);
      writeFileSync(path('pae'), preAuthEncoding(envelope.value.payload));
      envelope.value.signatures.forEach(({ sig }, i) => {
        writeFileSync(path('sig'), sig);
        const name = names[i] ?? '';
        const pub = path(`${name}.pub.pem`);
        if (name.includes('d25519') || name === 'o-ed') {
          openssl('pkeyutl', '-verify', '-pubin', '-inkey', pub, '-rawin', '-in', path('pae'), '-sigfile', path('sig'));
        } else {
          openssl(
            'dgst',
            name.includes('384') ? '-sha384' : '-sha256',
            '-verify',
            pub,
            '-signature',
            path('sig'),
            path('pae'),
          );
        }
      });
      // Signed twice by one key, there is one signature of it.
      const twice = parseEnvelope(
        readFileSync(made(path('twice'), 'release', 'sign', '--key', path('o-ed.key.pem'), signed)),
      );
      expect(twice.ok && twice.value.signatures.length).toBe(names.length);
    });

    it('show hostile names as text', () => {
      const dir = scratch();
      sluice('keys', 'generate', '--out', join(dir, 'good'));
      const name = '<img src=x onerror=alert(1)>\u202egpj.exe\u200d';
      writeFileSync(join(dir, 'statement'), readFileSync(statement(dir), 'utf8').replaceAll('notes.txt', name));
      const signed = made(
        join(dir, 'signed'),
        ...['release', 'sign', '--key', join(dir, 'good.key.pem'), join(dir, 'statement')],
      );
      const { status, out } = sluice('release', 'verify', '--key', join(dir, 'good.pub.pem'), signed);
      expect(status).toBe(EXIT.ok);
      expect(out).toContain('file <img src=x onerror=alert(1)>\\u202egpj.exe\\u200d sha256:');
      expect(out).not.toMatch(/[^\u0020-\u007e\n]/);
    });

    it('by another key, or changed after they were signed, do not verify', () => {
      const dir = scratch();
      for (const name of ['good', 'other']) sluice('keys', 'generate', '--out', join(dir, name));
      const [key, other] = ['good', 'other'].map((name) => join(dir, `${name}.pub.pem`)) as [string, string];
      const signed = made(join(dir, 'signed'), 'release', 'sign', '--key', join(dir, 'good.key.pem'), statement(dir));
      expect(sluice('release', 'verify', '--key', key, signed).status).toBe(EXIT.ok);
      const both = sluice('release', 'verify', '--key', key, '--key', other, signed);
      expect(both.status).toBe(EXIT.failed);
      expect(both.out.match(/^[0-9a-f]{64} (signed|did not sign)$/gm)?.map((line) => line.slice(65))).toEqual([
        'signed',
        'did not sign',
      ]);

      const envelope = JSON.parse(readFileSync(signed, 'utf8')) as { payload: string };
      const payload = Buffer.from(envelope.payload, 'base64').toString().replace('Ada L.', 'Eve L.');
      writeFileSync(
        join(dir, 'changed'),
        JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString('base64') }),
      );
      const changed = sluice('release', 'verify', '--key', key, join(dir, 'changed'));
      expect(changed.status).toBe(EXIT.failed);
      expect(changed.out).toContain('did not sign');
    });

    it('nothing but a release is signed, and nothing but the right kind of key is used', () => {
      const dir = scratch();
      sluice('keys', 'generate', '--out', join(dir, 'k'));
      const key = join(dir, 'k.key.pem');
      const digest = `sha256:${'a'.repeat(64)}` as const;
      const transport = encodeTransport({
        channel: 'prod',
        sequence: 1,
        previous: null,
        release: { digest, size: 1 },
        objects: [],
        blobs: 1,
        bytes: 1,
        seconds: 1,
      });
      const stranger = loadSigner(readFileSync(key, 'utf8'));
      const papers: [string, string | Uint8Array, string][] = [
        ['transport', signEnvelope(transport, [stranger]), 'predicate-type'],
        ['transport-bare', transport, 'predicate-type'],
        ['text', 'please sign here', 'json-malformed'],
        ['contract', signEnvelope(Buffer.from('{"pay":"all"}'), []), 'json-unknown-key'],
        [
          'doubled',
          readFileSync(statement(dir), 'utf8').replace('"name":', '"name":"other","name":'),
          'json-duplicate-key',
        ],
      ];
      for (const [name, bytes, code] of papers) {
        writeFileSync(join(dir, name), bytes);
        const { status, out, err } = sluice('release', 'sign', '--key', key, join(dir, name));
        expect({ name, status, out }).toEqual({ name, status: EXIT.failed, out: '' });
        expect(err).toContain(code);
      }
      const release = statement(dir);
      openssl('genrsa', '-out', join(dir, 'rsa.pem'), '2048');
      openssl('genpkey', '-algorithm', 'ED25519', '-aes256', '-pass', 'pass:x', '-out', join(dir, 'locked.pem'));
      writeFileSync(join(dir, 'junk.pem'), 'junk');
      for (const name of ['rsa.pem', 'locked.pem', 'junk.pem', 'k.pub.pem']) {
        const { status, out, err } = sluice('release', 'sign', '--key', join(dir, name), release);
        expect({ name, status, out }).toEqual({ name, status: EXIT.config, out: '' });
        expect(err).toContain('(key-malformed)');
      }
      const signed = made(join(dir, 'signed'), 'release', 'sign', '--key', key, release);
      const { status, err } = sluice('release', 'verify', '--key', key, signed);
      expect(status).toBe(EXIT.config);
      expect(err).toContain('this is a private key where the public one belongs');
    });

    it('what cannot be read is no release', () => {
      const dir = scratch();
      for (const [name, make] of [
        ['link', () => execFileSync('ln', ['-s', '/etc/passwd', join(dir, 'link')])],
        ['fifo', () => execFileSync('mkfifo', [join(dir, 'fifo')])],
      ] as const) {
        make();
        const { status, err } = sluice('release', 'create', '--name', 'x', join(dir, name));
        expect(`${name} ${status}`).toBe(`${name} ${EXIT.failed}`);
        expect(err).toMatch(/^sluice: [^\n]+\n$/);
      }
    });
  },
);
