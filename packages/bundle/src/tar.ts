import { refuse } from '@sluice/ports';
import type { Refusal } from '@sluice/ports';

/** POSIX.1-2017 pax, "ustar Interchange Format": everything lies in blocks of 512 bytes. */
export const TAR_BLOCK = 512;
/** Longest member name taken, in bytes of UTF-8. */
export const TAR_NAME_BYTES = 4096;
/** Longest single path segment taken, in bytes: what Linux file systems take. */
export const TAR_SEGMENT_BYTES = 255;
/** Largest pax extended header taken, in bytes. */
export const TAR_PAX_BYTES = 64 * 1024;
/** Largest member taken, in bytes: as large as an object of the link may be (PROTOCOL.md O-7). */
export const TAR_MEMBER_BYTES = 2 ** 40;

/** A member of an archive. `path` is relative, has no `.`, `..` or empty segments, and no trailing slash. */
export interface TarMember {
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly size: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const OCTAL_SIZE_LIMIT = 8 ** 11;
const USTAR_NAME_BYTES = 100;
const MAGIC = encoder.encode('ustar\u000000');

/**
 * Why `path` may not name something inside a directory, or undefined when it may: relative, segments of 1 to 255 bytes, none of them `.` or `..`,
 * no backslash, no control character, at most 4096 bytes in all.
 */
export function pathFault(path: string): string | undefined {
  // No unit of a text takes more than three bytes: what is short in units is short in bytes.
  if (path.length * 3 > TAR_NAME_BYTES && encoder.encode(path).length > TAR_NAME_BYTES)
    return `is longer than ${TAR_NAME_BYTES} bytes`;
  for (let i = 0; i < path.length; i++) {
    const unit = path.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f || unit === 0x5c) return 'holds a backslash or a control character';
  }
  if (path.startsWith('/')) return 'is absolute';
  for (const segment of path.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment "${segment}"`;
    if (segment.length * 3 > TAR_SEGMENT_BYTES && encoder.encode(segment).length > TAR_SEGMENT_BYTES)
      return `has a segment of over ${TAR_SEGMENT_BYTES} bytes`;
  }
  return undefined;
}

/** The bytes that fill a member of `size` bytes up to a whole block. */
export const tarPadding = (size: number): number => (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;

/** The sum over a header block with the checksum field (offset 148, 8 bytes) read as spaces. */
export function tarChecksum(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < TAR_BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0;
  return sum;
}

interface UstarFields {
  readonly name: Uint8Array;
  readonly size: number;
  readonly typeflag: '0' | '5' | 'x';
  readonly mode: number;
}

/** One ustar header block: uid, gid and mtime 0, no owner names. */
export function ustarHeader({ name, size, typeflag, mode }: UstarFields): Uint8Array {
  const header = new Uint8Array(TAR_BLOCK);
  header.set(name.subarray(0, USTAR_NAME_BYTES), 0);
  writeOctal(header, 100, 7, mode);
  writeOctal(header, 108, 7, 0);
  writeOctal(header, 116, 7, 0);
  writeOctal(header, 124, 11, size);
  writeOctal(header, 136, 11, 0);
  header[156] = typeflag.charCodeAt(0);
  header.set(MAGIC, 257);
  writeOctal(header, 148, 6, tarChecksum(header));
  header[155] = 0x20;
  return header;
}

/** A number in `digits` octal digits, with leading zeros. */
export function writeOctal(header: Uint8Array, offset: number, digits: number, value: number): void {
  for (let [i, rest] = [digits - 1, value]; i >= 0; i -= 1, rest = Math.floor(rest / 8))
    header[offset + i] = 0x30 + (rest % 8);
}

/** One pax record, `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = encoder.encode(` ${key}=${value}\n`);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  const record = new Uint8Array(length);
  record.set(encoder.encode(String(length)));
  record.set(rest, length - rest.length);
  return record;
}

/**
 * The header of a member: one ustar block, after a pax extended header when the name is not ASCII, is longer than 100 bytes, or the size needs more
 * than 11 octal digits. The caller writes the data and `tarPadding(size)` zeros after it.
 */
export function tarHeader(member: TarMember): Uint8Array {
  const name = encoder.encode(member.type === 'directory' ? `${member.path}/` : member.path);
  const records: Uint8Array[] = [];
  if (name.length > USTAR_NAME_BYTES || name.some((byte) => byte >= 0x80)) records.push(paxRecord('path', member.path));
  if (member.size >= OCTAL_SIZE_LIMIT) records.push(paxRecord('size', String(member.size)));
  const size = member.size < OCTAL_SIZE_LIMIT ? member.size : 0;
  const header =
    member.type === 'directory'
      ? ustarHeader({ name, size: 0, typeflag: '5', mode: 0o755 })
      : ustarHeader({ name, size, typeflag: '0', mode: 0o644 });
  if (records.length === 0) return header;
  const bytes = records.reduce((sum, record) => sum + record.length, 0);
  const pax = ustarHeader({ name: encoder.encode('PaxHeaders/member'), size: bytes, typeflag: 'x', mode: 0o644 });
  return concat([pax, ...records, new Uint8Array(tarPadding(bytes)), header]);
}

/** The end of an archive: two blocks of zeros. */
export const tarTrailer = (): Uint8Array => new Uint8Array(2 * TAR_BLOCK);

/** The text, or undefined when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export const malformed = (why: string): { readonly ok: false; readonly error: Refusal } =>
  refuse('tar-malformed', `The archive is damaged or not a tar archive: ${why}; make it again.`);
