import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import type { CheckpointSigner, CheckpointVerifier } from '@sluice/ledger';

const keyidOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');

/** A key that signs checkpoints, and the one that checks them. */
export function keyPair(): CheckpointSigner & { readonly verifier: CheckpointVerifier } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keyid = keyidOf(publicKey);
  return {
    keyid,
    sign: (message) => sign(null, message, privateKey),
    verifier: { keyid, verify: (message, signature) => verify(null, message, publicKey, signature) },
  };
}
