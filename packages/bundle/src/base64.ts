const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Uint8Array(128).fill(255);
for (let i = 0; i < 64; i += 1) VALUES[ALPHABET.charCodeAt(i)] = i;

/** Base64 with padding (RFC 4648 section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b, c] = [bytes[i], bytes[i + 1], bytes[i + 2]];
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0);
    pieces.push(
      (ALPHABET[bits >>> 18] ?? '') +
        (ALPHABET[(bits >>> 12) & 63] ?? '') +
        (b === undefined ? '=' : (ALPHABET[(bits >>> 6) & 63] ?? '')) +
        (c === undefined ? '=' : (ALPHABET[bits & 63] ?? '')),
    );
  }
  return pieces.join('');
}

/** The bytes, or undefined for anything but padded, canonical base64 (RFC 4648 sections 3.2, 3.3 and 3.5). */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  const out = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    const value = i >= digits ? 0 : unit < 128 ? (VALUES[unit] ?? 255) : 255;
    if (value === 255) return undefined;
    bits = (bits << 6) | value;
    if (i % 4 !== 3) continue;
    for (let shift = 16; shift >= 0 && at < out.length; shift -= 8) {
      out[at] = (bits >>> shift) & 255;
      at += 1;
    }
    // Bits that no byte holds must be zero.
    if (i === text.length - 1 && (bits & (2 ** (8 * padding) - 1)) !== 0) return undefined;
    bits = 0;
  }
  return out;
}
