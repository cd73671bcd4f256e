import { createCipheriv, createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePack } from '@sluice/bundle';
import type { Digest, SpooledPack } from '@sluice/ports';

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

/** Blobs `from` to `to` in a pack, in a file of a directory. */
export function packOf(directory: string, from: number, to: number): SpooledPack & { readonly blobs: readonly Blob[] } {
  const blobs = Array.from({ length: to - from }, (_, i) => blobOf(from + i, from + i));
  const bytes = writePack(blobs);
  const digest = digestOf(bytes);
  const path = join(directory, `${String(from)}-${String(to)}`);
  writeFileSync(path, bytes);
  return { digest, size: bytes.length, path, blobs };
}
