// Names of objects: ni URIs of SHA-256 digests without authority (RFC 6920 section 3; docs/PROTOCOL.md O-1).
import type { Digest } from '@sluice/ports';

const PREFIX = 'ni:///sha-256;';
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** 32 bytes in base64url without padding. */
const NI = /^ni:\/\/\/sha-256;[A-Za-z0-9_-]{43}$/;
const HEX_DIGITS = 64;

/** `ni:///sha-256;` and the digest in base64url without padding. */
export function niFromDigest(digest: Digest): string {
  const hex = digest.slice('sha256:'.length);
  let text = PREFIX;
  for (let at = 0; at < hex.length; at += 3) {
    // Three hexadecimal digits are two base64 digits; the last digit alone is padded with zero bits.
    const piece = Number.parseInt(hex.slice(at, at + 3).padEnd(3, '0'), 16);
    text += ALPHABET.charAt(piece >>> 6) + ALPHABET.charAt(piece & 63);
  }
  return text.slice(0, PREFIX.length + 43);
}

/** The digest, or undefined when the text is not exactly what `niFromDigest` writes. */
export function digestFromNi(text: string): Digest | undefined {
  if (!NI.test(text)) return undefined;
  let hex = '';
  for (let at = PREFIX.length; at < text.length; at += 2) {
    const high = ALPHABET.indexOf(text.charAt(at));
    const low = at + 1 < text.length ? ALPHABET.indexOf(text.charAt(at + 1)) : 0;
    hex += ((high << 6) | low).toString(16).padStart(3, '0');
  }
  // 43 digits carry 258 bits: the last two, in the digits beyond the 64th, must be zero, or two names would mean one digest.
  if (hex.slice(HEX_DIGITS) !== '00') return undefined;
  return `sha256:${hex.slice(0, HEX_DIGITS)}`;
}
