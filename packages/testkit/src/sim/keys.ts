import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { PublicKey, Signer } from '@sluice/trust';
import { loadSigner, loadVerifier } from './node/trust.ts';

/** An Ed25519 private key as PKCS #8 begins with this; 32 bytes follow. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

interface Pair {
  readonly signer: Signer;
  readonly verifier: PublicKey;
  readonly privatePem: string;
  readonly publicPem: string;
}

/** Keys that are the same in every run: Ed25519, whose signatures are too. */
function pair(fill: number): Pair {
  const der = Buffer.concat([PKCS8, Buffer.alloc(32, fill)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const privatePem = key.export({ format: 'pem', type: 'pkcs8' });
  const publicPem = createPublicKey(key).export({ format: 'pem', type: 'spki' });
  return { signer: loadSigner(privatePem), verifier: loadVerifier(publicPem), privatePem, publicPem };
}

export const KEYS = {
  transport: pair(1),
  release: pair(2),
  second: pair(3),
  importer: pair(4),
  stranger: pair(5),
  ticket: pair(6),
};

export const VERIFIERS: ReadonlyMap<string, PublicKey> = new Map(
  [KEYS.transport, KEYS.release, KEYS.second].map(({ verifier }) => [verifier.keyid, verifier]),
);

/** The link key of a channel, 64 hexadecimal digits. */
export const linkKeyText = (asid: number): string => Buffer.alloc(32, 16 + asid).toString('hex');
