import { createHash, createPrivateKey, generateKeyPairSync, sign as signWith } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { encodeEnvelope, parseEnvelope, SIGNATURES_MAX } from '@sluice/bundle';
import type { Result } from '@sluice/ports';
import {
  addSignature,
  loadSigner,
  loadVerifier,
  makeKeyPair,
  openEnvelope,
  sha256,
  sha256Digest,
  type SignatureAlgorithm,
  signEnvelope,
} from '@sluice/trust';
import { hasOpenssl, openssl, opensslOver, WITH_OPENSSL } from './openssl.ts';

const ALGORITHMS: readonly SignatureAlgorithm[] = ['Ed25519', 'ECDSA-P256', 'ECDSA-P384'];
const PAYLOAD = Buffer.from('{"é":1}');
/** What is signed, spelled here once more (DSSE protocol.md). */
const PAE = Buffer.concat([Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${String(PAYLOAD.length)} `), PAYLOAD]);

const HOW: Readonly<
  Record<SignatureAlgorithm, { readonly generate: string; readonly sign: string; readonly verify: string }>
> = {
  Ed25519: {
    generate: 'genpkey -algorithm ed25519',
    sign: 'pkeyutl -sign -rawin -inkey {key} -in {message}',
    verify: 'pkeyutl -verify -rawin -pubin -inkey {key} -in {message} -sigfile {signature}',
  },
  'ECDSA-P256': {
    generate: 'ecparam -name prime256v1 -genkey -noout',
    sign: 'dgst -sha256 -sign {key} {message}',
    verify: 'dgst -sha256 -verify {key} -signature {signature} {message}',
  },
  'ECDSA-P384': {
    generate: 'ecparam -name secp384r1 -genkey -noout',
    sign: 'dgst -sha384 -sign {key} {message}',
    verify: 'dgst -sha384 -verify {key} -signature {signature} {message}',
  },
};

function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error.detail);
  return result.value;
}

function errorOf(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

const keyMalformed = expect.objectContaining({ code: 'key-malformed', retryable: false }) as Error;

describe.skipIf(!hasOpenssl).each(ALGORITHMS)(`%s: ${WITH_OPENSSL}`, (algorithm) => {
  const { generate, sign, verify } = HOW[algorithm];
  const key = hasOpenssl ? openssl(generate).toString() : '';
  const publicPem = hasOpenssl ? openssl('pkey -pubout', Buffer.from(key)).toString() : '';

  it('on the key id', () => {
    const der = openssl('pkey -pubout -outform DER', Buffer.from(key));
    const keyid = createHash('sha256').update(der).digest('hex');
    expect(loadSigner(key)).toMatchObject({ keyid, algorithm });
    expect(loadVerifier(publicPem)).toMatchObject({ keyid, algorithm });
  });

  it('on what we signed', () => {
    const { signatures, payload } = valueOf(parseEnvelope(signEnvelope(PAYLOAD, [loadSigner(key)])));
    const signature = signatures[0]?.sig ?? new Uint8Array();
    expect(Buffer.from(payload)).toEqual(PAYLOAD);
    expect(opensslOver(verify, { key: publicPem, message: PAE, signature })).toBeDefined();
    expect(opensslOver(verify, { key: publicPem, message: PAYLOAD, signature })).toBeUndefined();
  });

  it('on what it signed', () => {
    const signature = opensslOver(sign, { key, message: PAE }) ?? Buffer.alloc(0);
    const envelope = encodeEnvelope({
      payload: PAYLOAD,
      signatures: [{ keyid: loadSigner(key).keyid, sig: signature }],
    });
    expect(valueOf(openEnvelope(envelope, [loadVerifier(publicPem)])).signer).toBe(loadSigner(key).keyid);
    expect(loadVerifier(publicPem).verify(PAYLOAD, signature)).toBe(false);
  });
});

describe.skipIf(!hasOpenssl)(
  `a key that openssl writes in another form (skipped when missing: apt-get install openssl)`,
  () => {
    const key = hasOpenssl ? openssl(HOW['ECDSA-P256'].generate) : Buffer.alloc(0);

    it.each([
      ['a compressed point', '-conv_form compressed'],
      ['explicit parameters', '-param_enc explicit'],
      ['a hybrid point', '-conv_form hybrid'],
    ])('has no second id: %s', (_what, form) => {
      const publicPem = openssl(`ec -pubout ${form}`, key).toString();
      expect(() => loadVerifier(publicPem)).toThrow(keyMalformed);
      expect(() => loadVerifier(publicPem)).toThrow(/-conv_form uncompressed -param_enc named_curve/);
      expect(() => loadSigner(openssl(`ec ${form}`, key).toString())).toThrow(keyMalformed);
      const mended = openssl(
        'ec -pubin -conv_form uncompressed -param_enc named_curve',
        Buffer.from(publicPem),
      ).toString();
      expect(loadVerifier(mended).keyid).toBe(loadSigner(key.toString()).keyid);
    });

    it('is taken with the curve named before it, and refused as a certificate', () => {
      expect(loadSigner(openssl('ecparam -name prime256v1 -genkey').toString()).algorithm).toBe('ECDSA-P256');
      const certificate = opensslOver('req -x509 -key {key} -subj /CN=x -days 1', { key })?.toString() ?? '';
      expect(certificate).toContain('BEGIN CERTIFICATE');
      expect(() => loadVerifier(certificate)).toThrow(/has certificate; Ed25519/);
    });
  },
);

describe.each(ALGORITHMS)('%s', (algorithm) => {
  const { privatePem, publicPem } = makeKeyPair(algorithm);
  const [signer, verifier] = [loadSigner(privatePem), loadVerifier(publicPem)];

  it('holds over its message and no other', () => {
    const signature = signer.sign(PAE);
    expect(signer.keyid).toBe(verifier.keyid);
    expect(verifier.verify(PAE, signature)).toBe(true);
    expect(verifier.verify(Buffer.concat([PAE, Buffer.of(0)]), signature)).toBe(false);
    expect(loadVerifier(makeKeyPair(algorithm).publicPem).verify(PAE, signature)).toBe(false);
  });

  it('is false, never thrown, for a damaged signature', () => {
    const signature = signer.sign(PAE);
    for (let at = 0; at < signature.length; at += 1) {
      const damaged = signature.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0x11;
      expect(verifier.verify(PAE, damaged), `byte ${String(at)}`).toBe(false);
      expect(verifier.verify(PAE, signature.subarray(0, at)), `cut at ${String(at)}`).toBe(false);
    }
    expect(verifier.verify(PAE, Buffer.concat([signature, Buffer.of(0)]))).toBe(false);
  });

  it('has its own hash and its own form of signatures', () => {
    if (algorithm === 'Ed25519') return;
    const key = createPrivateKey(privatePem);
    const hash = algorithm === 'ECDSA-P256' ? 'sha256' : 'sha384';
    expect(verifier.verify(PAE, signWith(hash, PAE, key))).toBe(true);
    expect(verifier.verify(PAE, signWith('sha512', PAE, key))).toBe(false);
    expect(verifier.verify(PAE, signWith(hash, PAE, { key, dsaEncoding: 'ieee-p1363' }))).toBe(false);
  });
});

describe('keys', () => {
  const pem = {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  } as const;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048, ...pem });
  const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1', ...pem });
  const x25519 = generateKeyPairSync('x25519', pem);
  const pair = makeKeyPair('Ed25519');
  const sealed = createPrivateKey(pair.privatePem).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  });

  it.each<[string, string, RegExp]>([
    ['RSA', rsa.publicKey, /of type rsa/],
    ['RSA in PKCS #1', rsa.publicKey.replaceAll('PUBLIC', 'RSA PUBLIC'), /has rsa public key/],
    ['another curve', koblitz.publicKey, /on curve secp256k1/],
    ['a key that does not sign', x25519.publicKey, /of type x25519/],
    ['a private key', pair.privatePem, /a private key where the public one belongs/],
    ['two keys', `${pair.publicPem}${makeKeyPair('Ed25519').publicPem}`, /has public key, public key/],
    ['nothing', '', /has nothing of that form/],
    ['damage', pair.publicPem.replace(/\n.{20}/, '\n'), /this is no public key/],
  ])('that check nothing: %s', (_what, text, why) => {
    expect(() => loadVerifier(text)).toThrow(keyMalformed);
    expect(() => loadVerifier(text)).toThrow(why);
    expect(() => loadVerifier(text)).toThrow(/; Ed25519, ECDSA P-256 and P-384 keys in PEM are taken$/);
  });

  it.each<[string, string, RegExp]>([
    ['RSA', rsa.privateKey, /of type rsa/],
    ['another curve', koblitz.privateKey, /on curve secp256k1/],
    ['a public key', pair.publicPem, /this is no private key/],
    ['one with a password', sealed, /has a password/],
    ['nothing', '', /this is no private key/],
  ])('that sign nothing: %s', (_what, text, why) => {
    expect(() => loadSigner(text)).toThrow(keyMalformed);
    expect(() => loadSigner(text)).toThrow(why);
  });

  it.each(ALGORITHMS)('never show a part of themselves in an error: %s', (algorithm) => {
    const { privatePem } = makeKeyPair(algorithm);
    const material = privatePem.replace(/-----.*-----|\n/g, '');
    const damaged = [
      privatePem.replace(/\n./, '\n!'),
      privatePem.replace(/\n.{20}/, '\n'),
      privatePem.replace('-----END', '-----'),
      privatePem.replaceAll('PRIVATE KEY', 'RSA PRIVATE KEY'),
      privatePem.replaceAll('PRIVATE KEY', 'PUBLIC KEY'),
      material,
    ];
    for (const text of damaged) {
      for (const load of [loadSigner, loadVerifier]) {
        const shown = inspect(
          errorOf(() => load(text)),
          { depth: 9, showHidden: true },
        );
        expect(shown).toContain('key-malformed');
        for (let at = 0; at + 8 <= material.length; at += 1) expect(shown).not.toContain(material.slice(at, at + 8));
      }
    }
  });

  it('may have words before them', () => {
    expect(loadVerifier(`Ada's key, made in 2026\n${pair.publicPem}`).keyid).toBe(loadVerifier(pair.publicPem).keyid);
  });
});

describe('envelopes', () => {
  const signers = ALGORITHMS.map((algorithm) => makeKeyPair(algorithm));
  const [ada, bob, eve] = signers.map(({ privatePem }) => loadSigner(privatePem));
  const verifiers = signers.map(({ publicPem }) => loadVerifier(publicPem));
  const keyids = (bytes: Uint8Array): string[] => valueOf(parseEnvelope(bytes)).signatures.map(({ keyid }) => keyid);

  it('are signed by all who are given', () => {
    const bytes = signEnvelope(PAYLOAD, [ada!, bob!, eve!]);
    expect(keyids(bytes)).toEqual([ada!.keyid, bob!.keyid, eve!.keyid]);
    for (const verifier of verifiers) expect(valueOf(openEnvelope(bytes, [verifier])).signer).toBe(verifier.keyid);
  });

  it('get one more signature, and a new one in place of the same key', () => {
    const first = signEnvelope(PAYLOAD, [ada!]);
    const both = addSignature(valueOf(parseEnvelope(first)), bob!);
    expect(keyids(both)).toEqual([ada!.keyid, bob!.keyid]);
    const again = addSignature(valueOf(parseEnvelope(both)), ada!);
    expect(keyids(again)).toEqual([bob!.keyid, ada!.keyid]);
    for (const verifier of verifiers.slice(0, 2))
      expect(valueOf(openEnvelope(again, [verifier])).signer).toBe(verifier.keyid);
  });

  it('get no more signatures than a receiver takes', () => {
    const full = Array.from({ length: SIGNATURES_MAX }, (_, i) => ({
      keyid: String(i).padStart(64, '0'),
      sig: new Uint8Array(64),
    }));
    expect(() => addSignature({ payload: PAYLOAD, signatures: full }, ada!)).toThrow(
      expect.objectContaining({ code: 'too-many-signatures' }) as Error,
    );
    expect(keyids(addSignature({ payload: PAYLOAD, signatures: full.slice(1) }, ada!))).toHaveLength(SIGNATURES_MAX);
  });

  it('have no signer when the key is another, the payload is changed or the id is borrowed', () => {
    const bytes = signEnvelope(PAYLOAD, [ada!]);
    const { signatures } = valueOf(parseEnvelope(bytes));
    const changed = encodeEnvelope({ payload: Buffer.from('{"é":2}'), signatures });
    const borrowed = encodeEnvelope({ payload: PAYLOAD, signatures: [{ keyid: bob!.keyid, sig: signatures[0]!.sig }] });
    expect(valueOf(openEnvelope(bytes, verifiers.slice(1))).signer).toBeUndefined();
    expect(valueOf(openEnvelope(changed, verifiers)).signer).toBeUndefined();
    expect(valueOf(openEnvelope(borrowed, verifiers)).signer).toBeUndefined();
    expect(openEnvelope(Buffer.from('{'), verifiers)).toMatchObject({ ok: false, error: { code: 'json-malformed' } });
  });
});

describe('SHA-256', () => {
  it('takes pieces as one text (FIPS 180-4, "abc")', () => {
    const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(Buffer.from(sha256(Buffer.from('a'), Buffer.alloc(0), Buffer.from('bc'))).toString('hex')).toBe(expected);
    expect(sha256Digest(Buffer.from('ab'), Buffer.from('c'))).toBe(`sha256:${expected}`);
    expect(sha256Digest()).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });
});
