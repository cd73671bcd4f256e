import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import type { Digest, Result, Sha256 } from '@sluice/ports';
import { encodeEnvelope } from '../src/dsse.ts';
import type { ChannelPolicy } from '../src/policy.ts';
import type { Artifact, ReleaseStatement } from '../src/release.ts';
import type { TransportStatement } from '../src/transport.ts';
import type { Verifier } from '../src/verify.ts';

/** A pseudo-random generator (mulberry32): 32-bit unsigned integers from a seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const TOKENS = ['{', '}', '[', ']', '"', ',', ':', '\\', '\\ud800', '\\u0041', '1e3', '-0', '0.5', 'null', 'é', '\0'];

/** The bytes with up to four random changes: a bit, a byte, a cut, a stretch twice, a token of JSON put in. */
export function mutated(bytes: Uint8Array, next: () => number): Uint8Array {
  let out = Buffer.from(bytes);
  for (let changes = 1 + (next() % 4); changes > 0; changes -= 1) {
    const at = out.length === 0 ? 0 : next() % out.length;
    const kind = next() % 8;
    const token = Buffer.from(TOKENS[next() % TOKENS.length] ?? '');
    if (kind === 0) out = out.subarray(0, at);
    else if (kind === 1) out = Buffer.concat([out.subarray(0, at), out.subarray(Math.max(0, at - (next() % 40)))]);
    else if (kind < 5) out = Buffer.concat([out.subarray(0, at), token, out.subarray(at + (next() % 2))]);
    else if (kind === 5) out = Buffer.concat([out.subarray(0, at), Buffer.of(next() & 255), out.subarray(at + 1)]);
    else out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + (next() % 3))]);
  }
  return out;
}

export const utf8 = (text: string): Uint8Array => Buffer.from(text);
export const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
export const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code);

export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${result.error.code}, ${result.error.detail}`);
  return result.value;
}

export const sha256: Sha256 = (...pieces) => createHash('sha256').update(Buffer.concat(pieces)).digest();
export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
export const HEX = 'ab'.repeat(32);
export const DIGEST: Digest = `sha256:${HEX}`;

/** A key pair whose signatures are made and checked by OpenSSL over a pre-authentication encoding spelled here once more. */
export interface Key extends Verifier {
  sign(payload: Uint8Array): { readonly keyid: string; readonly sig: Uint8Array };
}

export const pae = (payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${payload.length} `), payload]);

const keyidOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');

export function makeKey(): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const keyid = keyidOf(publicKey);
  return {
    keyid,
    algorithm: 'Ed25519',
    verify: (message, signature) => verify(null, message, publicKey, signature),
    sign: (payload) => ({ keyid, sig: sign(null, pae(payload), privateKey) }),
  };
}

export const envelope = (payload: Uint8Array, ...keys: readonly Key[]): Uint8Array =>
  encodeEnvelope({ payload, signatures: keys.map((key) => key.sign(payload)) });

export const image = (over: Partial<Artifact> = {}): Artifact => ({
  name: 'busybox',
  type: 'image',
  digest: DIGEST,
  size: 610,
  total: 2_212_345,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  target: { repository: 'library/busybox', tags: ['1.35'] },
  ...over,
});

export const file = (path: string): Artifact => ({
  name: path,
  type: 'file',
  digest: DIGEST,
  size: 17,
  total: 17,
  target: { path },
});

export const git = (name: string, version = 1): Artifact => ({
  name,
  type: 'git',
  digest: DIGEST,
  size: 9,
  total: 9,
  version,
  target: { repository: 'team/code' },
});

export const releaseOf = (...artifacts: readonly Artifact[]): ReleaseStatement => ({
  name: 'platform 2026.11',
  artifacts,
  approvedBy: ['Ada L.'],
});

export const transportOf = (over: Partial<TransportStatement> = {}): TransportStatement => ({
  channel: 'prod',
  sequence: 12,
  previous: DIGEST,
  release: { digest: DIGEST, size: 1234 },
  objects: [{ digest: DIGEST, size: 4_194_304, contentType: 'application/x-tar' }],
  blobs: 17,
  bytes: 9_876_543,
  seconds: 1_700_000_000,
  ...over,
});

export const policyOf = (over: Partial<ChannelPolicy> = {}): ChannelPolicy => ({
  channel: 'prod',
  transportKeys: ['t'],
  releaseKeys: ['r'],
  releaseSignatures: 1,
  types: ['image', 'chart', 'cve-db', 'git', 'file'],
  repositories: ['**'],
  paths: ['**'],
  maxBytes: 2 ** 40,
  maxArtifacts: 100,
  ...over,
});
