import { createCipheriv, createHash } from 'node:crypto';
import type { Digest } from '@sluice/ports';

export interface Blob {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Bytes that look random and are the same each time. */
export function blobOf(size: number, seed = 0): Blob {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(seed);
  const bytes = createCipheriv('aes-128-ctr', Buffer.alloc(16), iv).update(Buffer.alloc(size));
  return { digest: digestOf(bytes), bytes };
}
