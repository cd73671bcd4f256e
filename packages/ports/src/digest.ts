/** `sha256:` and 64 lower-case hexadecimal digits (OCI image-spec, descriptor.md). */
export type Digest = `sha256:${string}`;

const PREFIX = 'sha256:';
const LENGTH = PREFIX.length + 64;

/** By hand and not by a regular expression: a large release has hundreds of thousands. */
export function isDigest(text: unknown): text is Digest {
  if (typeof text !== 'string' || text.length !== LENGTH || !text.startsWith(PREFIX)) return false;
  for (let i = PREFIX.length; i < LENGTH; i += 1) {
    const unit = text.charCodeAt(i);
    const isHex = (unit >= 0x30 && unit <= 0x39) || (unit >= 0x61 && unit <= 0x66);
    if (!isHex) return false;
  }
  return true;
}

/** The 64 hexadecimal digits of a digest. */
export const hexOf = (digest: Digest): string => digest.slice(7);

/** SHA-256 over the concatenation of the given pieces, as 32 bytes. Handed to the pure packages, which have no crypto of their own. */
export type Sha256 = (...pieces: Uint8Array[]) => Uint8Array;
