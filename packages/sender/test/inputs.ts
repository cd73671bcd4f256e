import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Artifact, encodeRelease, type VerifyContext } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import { loadSigner, loadVerifier, makeKeyPair, sha256, signEnvelope } from '@sluice/trust';
import { onTestFinished } from 'vitest';

export const keys = { transport: makeKeyPair('ECDSA-P256'), release: makeKeyPair('Ed25519') };

/** A directory that goes away with the test. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-sender-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Writes files below a directory. */
export function put(directory: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  mkdirSync(directory, { recursive: true });
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
  return directory;
}

/** A release of these files, signed. */
export function releaseOf(files: Readonly<Record<string, Uint8Array>>, over: Partial<Artifact> = {}): Uint8Array {
  const artifacts = Object.entries(files).map(([path, bytes]): Artifact => ({
    name: path,
    type: 'file',
    digest: digestOf(bytes),
    size: bytes.length,
    total: bytes.length,
    target: { path },
    ...over,
  }));
  const payload = encodeRelease({ name: 'platform', artifacts, approvedBy: ['Ada L.'] });
  return signEnvelope(payload, [loadSigner(keys.release.privatePem)]);
}

/** A bundle directory of these files with its release. */
export const bundleAt = (directory: string, files: Readonly<Record<string, Uint8Array>>): string =>
  put(directory, { ...files, 'release.dsse.json': releaseOf(files) });

/** What the isolated side believes. */
export const contextOf = (channel: string): VerifyContext => {
  const [transport, release] = [loadVerifier(keys.transport.publicPem), loadVerifier(keys.release.publicPem)];
  return {
    policy: {
      channel,
      transportKeys: [transport.keyid],
      releaseKeys: [release.keyid],
      releaseSignatures: 1,
      types: ['file', 'image'],
      repositories: ['**'],
      paths: ['**'],
      maxBytes: 2 ** 40,
      maxArtifacts: 1000,
    },
    verifiers: new Map([transport, release].map((verifier) => [verifier.keyid, verifier])),
    sha256,
  };
};
