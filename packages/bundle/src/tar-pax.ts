import { ok, refuse } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { decodeUtf8, malformed, TAR_MEMBER_BYTES } from './tar.ts';

/** What a pax extended header says about the next member; what we do not use is dropped. */
export interface Pax {
  readonly path?: string;
  readonly size?: number;
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;

/**
 * Reads the records `LENGTH KEY=VALUE\n` of a pax extended header (POSIX.1-2017 pax, "pax Header Block"). Refuses with `tar-malformed`, and with
 * `special-file` where the records make the member a GNU sparse file, whose bytes are not those of the file.
 */
export function parsePax(bytes: Uint8Array): Result<Pax> {
  let path: string | undefined;
  let size: number | undefined;
  for (let at = 0; at < bytes.length;) {
    const record = readRecord(bytes, at);
    if (record === undefined) return malformed('a pax record has a wrong length or form');
    at = record.end;
    if (record.key.startsWith('GNU.sparse.')) {
      return refuse('special-file', 'A member of the archive is a sparse file; make the archive without --sparse.');
    }
    if (record.key !== 'path' && record.key !== 'size') continue;
    const value = decodeUtf8(record.value);
    if (record.key === 'path') {
      if (value === undefined || value === '' || path !== undefined)
        return malformed('a pax path is empty, not UTF-8, or comes twice');
      path = value;
    } else {
      if (
        value === undefined ||
        !/^[0-9]{1,15}$/.test(value) ||
        Number(value) > TAR_MEMBER_BYTES ||
        size !== undefined
      ) {
        return malformed(`a pax size is no number up to ${TAR_MEMBER_BYTES}, or comes twice`);
      }
      size = Number(value);
    }
  }
  return ok({ ...(path === undefined ? {} : { path }), ...(size === undefined ? {} : { size }) });
}

function readRecord(bytes: Uint8Array, at: number): { key: string; value: Uint8Array; end: number } | undefined {
  let cursor = at;
  let length = 0;
  // At most 6 digits: a header has at most 65,536 bytes.
  while (cursor < at + 6 && isDigit(bytes[cursor])) length = length * 10 + ((bytes[cursor++] ?? 0) - 0x30);
  const end = at + length;
  if (cursor === at || bytes[cursor] !== SPACE || end <= cursor + 1 || end > bytes.length) return undefined;
  const equals = bytes.indexOf(EQUALS, cursor + 1);
  if (equals < 0 || equals >= end - 1 || bytes[end - 1] !== NEWLINE) return undefined;
  const key = decodeUtf8(bytes.subarray(cursor + 1, equals));
  return key === undefined ? undefined : { key, value: bytes.subarray(equals + 1, end - 1), end };
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;
