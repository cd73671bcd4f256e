import { ok } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { malformed, TAR_BLOCK, tarChecksum, tarPadding, tarTrailer, ustarHeader, writeOctal } from './tar.ts';

/** Blobs below this size, in bytes, travel in packs (PROTOCOL.md O-3). */
export const PACK_MEMBER_LIMIT = 256 * 1024;
/** A pack is closed once it holds this many bytes. */
export const PACK_TARGET_BYTES = 4 * 1024 * 1024;
/** The largest pack taken: the target, and the last member with its header, padding and trailer. */
export const PACK_BYTES_LIMIT = PACK_TARGET_BYTES + PACK_MEMBER_LIMIT + 3 * TAR_BLOCK;

export interface PackMember {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

const PREFIX = 'blobs/sha256/';
const encoder = new TextEncoder();
const decoder = new TextDecoder();

// Where name, size and checksum lie in a header, and how many digits they have.
const NAME_AT = PREFIX.length;
const HEX_DIGITS = 64;
const SIZE_AT = 124;
const SIZE_DIGITS = 11;
const SUM_AT = 148;
const SUM_DIGITS = 6;
const ZERO = 0x30;
const NINE = 0x39;
const A = 0x61;
const F = 0x66;

/** The header of an empty member whose name ends after the prefix: what all headers share. */
const BLANK = ustarHeader({ name: encoder.encode(PREFIX), size: 0, typeflag: '0', mode: 0o444 });
const BLANK_SUM = tarChecksum(BLANK);
/** 1 where headers differ from one another besides the checksum, 2 where that is, 0 elsewhere. */
const VARIES = new Uint8Array(TAR_BLOCK)
  .fill(1, NAME_AT, NAME_AT + HEX_DIGITS)
  .fill(1, SIZE_AT, SIZE_AT + SIZE_DIGITS)
  .fill(2, SUM_AT, SUM_AT + SUM_DIGITS);

/** The ustar header of a pack's member: `blobs/sha256/HEX`, mode 0444, uid, gid and mtime 0 (PROTOCOL.md O-3). */
export function packHeader(digest: Digest, size: number): Uint8Array {
  const header = new Uint8Array(TAR_BLOCK);
  writeHeader(header, 0, digest, size);
  return header;
}

function writeHeader(pack: Uint8Array, at: number, digest: Digest, size: number): void {
  pack.set(BLANK, at);
  let sum = BLANK_SUM;
  const from = digest.length - HEX_DIGITS;
  for (let i = 0; i < HEX_DIGITS; i += 1) {
    const unit = digest.charCodeAt(from + i);
    pack[at + NAME_AT + i] = unit;
    sum += unit;
  }
  for (let [i, rest] = [SIZE_DIGITS - 1, size]; rest > 0; i -= 1, rest = Math.floor(rest / 8)) {
    pack[at + SIZE_AT + i] = ZERO + (rest % 8);
    sum += rest % 8;
  }
  writeOctal(pack, at + SUM_AT, SUM_DIGITS, sum);
}

/** Bytes that a member of `size` bytes takes in a pack. */
export const packMemberBytes = (size: number): number => TAR_BLOCK + size + tarPadding(size);

/** The end of a pack. */
export const packTrailer = tarTrailer;

/** A whole pack; members in the order of their names. The same members always give the same bytes. */
export function writePack(members: readonly PackMember[]): Uint8Array {
  const sorted = members.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  const length = sorted.reduce((sum, { bytes }) => sum + packMemberBytes(bytes.length), 2 * TAR_BLOCK);
  const pack = new Uint8Array(length);
  let at = 0;
  for (const { digest, bytes } of sorted) {
    writeHeader(pack, at, digest, bytes.length);
    pack.set(bytes, at + TAR_BLOCK);
    at += packMemberBytes(bytes.length);
  }
  return pack;
}

/**
 * The members of a pack, as views into `pack`. Only the one form that `writePack` gives is taken, byte for byte: each header is compared with the one we
 * would have written. The bytes are not hashed: the caller does. Refuses with `tar-malformed`.
 */
export function readPack(pack: Uint8Array): Result<readonly PackMember[]> {
  if (pack.length > PACK_BYTES_LIMIT) return malformed(`a pack of ${pack.length} bytes is over ${PACK_BYTES_LIMIT}`);
  const members: PackMember[] = [];
  let at = 0;
  while (at + TAR_BLOCK <= pack.length && pack[at] !== 0) {
    const member = readMember(pack, at);
    if (!member.ok) return member;
    const previous = members.at(-1);
    if (previous !== undefined && previous.digest >= member.value.digest) {
      return malformed(`the pack's member at byte ${at} is not in ascending order`);
    }
    members.push(member.value);
    at += packMemberBytes(member.value.bytes.length);
  }
  if (pack.length - at !== 2 * TAR_BLOCK || !isZero(pack, at, pack.length)) {
    return malformed(`the pack does not end with two blocks of zeros after byte ${at}`);
  }
  return ok(members);
}

function readMember(pack: Uint8Array, at: number): Result<PackMember> {
  const data = at + TAR_BLOCK;
  const hex = hexAt(pack, at + NAME_AT);
  const size = octalAt(pack, at + SIZE_AT, SIZE_DIGITS);
  const end = data + size + tarPadding(size);
  if (hex === undefined || !(size < PACK_MEMBER_LIMIT) || end > pack.length) {
    return malformed(`the pack's member at byte ${at} has no name of a blob, or a size that does not fit`);
  }
  if (!isHeader(pack, at) || !isZero(pack, data + size, end)) {
    return malformed(`the header or padding of the pack's member at byte ${at} is not in the one form of a pack`);
  }
  return ok({ digest: `sha256:${hex}`, bytes: pack.subarray(data, data + size) });
}

/** The digits of a digest; undefined where one is none. */
function hexAt(pack: Uint8Array, at: number): string | undefined {
  for (let i = at; i < at + HEX_DIGITS; i += 1) {
    const unit = pack[i] ?? 0;
    if (!((unit >= ZERO && unit <= NINE) || (unit >= A && unit <= F))) return undefined;
  }
  return decoder.decode(pack.subarray(at, at + HEX_DIGITS));
}

/** The number that octal digits spell; NaN where one is none. */
function octalAt(pack: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i += 1) {
    const digit = (pack[i] ?? 0) - ZERO;
    if (!(digit >= 0 && digit < 8)) return NaN;
    value = value * 8 + digit;
  }
  return value;
}

/** Byte for byte as `packHeader` would write it, for a name and a size that are digits. */
function isHeader(pack: Uint8Array, at: number): boolean {
  let sum = BLANK_SUM;
  for (let i = 0; i < TAR_BLOCK; i += 1) {
    const unit = pack[at + i] ?? 0;
    const blank = BLANK[i] ?? 0;
    const varies = VARIES[i];
    if (varies === 1) sum += unit - blank;
    else if (varies === 0 && unit !== blank) return false;
  }
  return octalAt(pack, at + SUM_AT, SUM_DIGITS) === sum;
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) if (bytes[i] !== 0) return false;
  return true;
}
