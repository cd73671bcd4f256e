/** Base64 with padding (RFC 4648 section 4). */
export const encodeBase64 = (bytes: Uint8Array): string => bytes.toBase64();

/** The bytes, or undefined for anything but padded, canonical base64 (RFC 4648 sections 3.2, 3.3 and 3.5). */
export function decodeBase64(text: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: 'strict' });
    // The language skips white space even where it is strict, and one value would have many texts: all but one are longer.
    return text.length === 4 * Math.ceil(bytes.length / 3) ? bytes : undefined;
  } catch {
    return undefined;
  }
}
