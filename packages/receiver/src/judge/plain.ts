import type { Artifact } from '@sluice/bundle';
import { type Digest, hexOf } from '@sluice/ports';
import type { PlainArtifacts } from './messages.ts';

const DIGEST_BYTES = 32;

export function columnsOf(artifacts: readonly Artifact[]): PlainArtifacts {
  const digests = new Uint8Array(artifacts.length * DIGEST_BYTES);
  const sizes = new Float64Array(artifacts.length);
  for (const [i, { digest, size }] of artifacts.entries()) {
    digests.set(Buffer.from(hexOf(digest), 'hex'), i * DIGEST_BYTES);
    sizes[i] = size;
  }
  return { names: artifacts.map(({ name }) => name).join('\n'), digests, sizes };
}

/** The artifacts of one blob, one after the other. */
export function* plainArtifacts({
  names,
  digests,
  sizes,
}: PlainArtifacts): Generator<{ readonly name: string; readonly digest: Digest; readonly size: number }> {
  if (sizes.length === 0) return;
  const hex = Buffer.from(digests.buffer, digests.byteOffset, digests.length);
  for (const [i, name] of names.split('\n').entries()) {
    const digest = `sha256:${hex.toString('hex', i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)}` as const;
    yield { name, digest, size: sizes[i] ?? 0 };
  }
}
