/** `sha256:` and 64 lower-case hexadecimal digits (OCI image-spec, descriptor.md). */
export type Digest = `sha256:${string}`;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: unknown): text is Digest => typeof text === 'string' && DIGEST.test(text);

/** The 64 hexadecimal digits of a digest. */
export const hexOf = (digest: Digest): string => digest.slice(7);

/** SHA-256 over the concatenation of the given pieces, as 32 bytes. Handed to the pure packages, which have no crypto of their own. */
export type Sha256 = (...pieces: Uint8Array[]) => Uint8Array;
