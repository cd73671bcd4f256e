import { createHash } from 'node:crypto';
import type { Digest, Sha256 } from '@sluice/ports';

/** SHA-256 of the pieces laid end to end. */
export const sha256: Sha256 = (...pieces) => {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
};

export const sha256Digest = (...pieces: Uint8Array[]): Digest =>
  `sha256:${Buffer.from(sha256(...pieces)).toString('hex')}`;
