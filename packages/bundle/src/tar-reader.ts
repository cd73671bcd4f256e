import { ok, refuse } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { parsePax } from './tar-pax.ts';
import type { Pax } from './tar-pax.ts';
import {
  decodeUtf8,
  malformed,
  pathFault,
  TAR_BLOCK,
  TAR_MEMBER_BYTES,
  TAR_NAME_BYTES,
  TAR_PAX_BYTES,
  tarChecksum,
  tarPadding,
} from './tar.ts';
import type { TarMember } from './tar.ts';

/**
 * What a chunk of an archive brought. After `member` come the member's bytes as `data` (none for an empty one), then `end`.
 * `offset` is where the member's bytes start in the archive. `bytes` is a view into the chunk.
 */
export type TarEvent =
  | { readonly kind: 'member'; readonly member: TarMember; readonly offset: number }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' };

type State = 'header' | 'data' | 'extension' | 'padding' | 'trailer';

interface Header {
  readonly path: string;
  readonly typeflag: string;
  readonly size: number;
}

/**
 * Reads a POSIX ustar, pax or GNU archive, pushed in chunks of any size. Total and bounded: it keeps one block and at most one extended header.
 * Takes regular files and directories only. Refuses with `tar-malformed`, `special-file` or `path-outside-root`; after a refusal it must not be used again.
 * The root itself (`./`) is passed over.
 */
export class TarReader {
  #state: State = 'header';
  #offset = 0;
  /** Bytes of the current state still to come. */
  #left = TAR_BLOCK;
  #padding = 0;
  #block = new Uint8Array(TAR_BLOCK);
  #filled = 0;
  #inFile = false;
  #extensionType = '';
  #pax: Pax | undefined;
  #longName: string | undefined;
  #trailerSeen = false;

  /** Bytes of the current member still to come; they may be passed over with `skip`. */
  get pending(): number {
    return this.#state === 'data' ? this.#left : 0;
  }

  push(chunk: Uint8Array): Result<readonly TarEvent[]> {
    const events: TarEvent[] = [];
    let at = 0;
    while (at < chunk.length) {
      const bytes = chunk.subarray(at, at + this.#left);
      at += bytes.length;
      this.#offset += bytes.length;
      this.#left -= bytes.length;
      const taken = this.#take(bytes, events);
      if (!taken.ok) return taken;
    }
    return ok(events);
  }

  /** Passes over the next `bytes` bytes of the current member, unseen: the source was positioned behind them. At most `pending`. */
  skip(bytes: number): Result<readonly TarEvent[]> {
    if (bytes > this.pending) throw new Error(`skip of ${bytes} bytes where ${this.pending} are pending`);
    this.#offset += bytes;
    this.#left -= bytes;
    const events: TarEvent[] = [];
    if (bytes > 0 && this.#left === 0) this.#endMember(events);
    return ok(events);
  }

  /** Says that the archive ends here. Refuses a truncated one. */
  finish(): Result<void> {
    if (this.#trailerSeen) return ok(undefined);
    return malformed(`it ends at byte ${this.#offset}, before its two blocks of zeros`);
  }

  #take(bytes: Uint8Array, events: TarEvent[]): Result<void> {
    switch (this.#state) {
      case 'data':
        events.push({ kind: 'data', bytes });
        if (this.#left === 0) this.#endMember(events);
        return ok(undefined);
      case 'padding':
        if (this.#left === 0) this.#expectHeader();
        return ok(undefined);
      case 'trailer':
        return this.#takeTrailer(bytes);
      case 'header':
      case 'extension':
        this.#block.set(bytes, this.#filled);
        this.#filled += bytes.length;
        if (this.#left > 0) return ok(undefined);
        return this.#state === 'header' ? this.#takeHeader(events) : this.#takeExtension();
    }
  }

  #takeTrailer(bytes: Uint8Array): Result<void> {
    if (bytes.some((byte) => byte !== 0)) return malformed('there are bytes after its end');
    if (this.#left === 0) {
      this.#trailerSeen = true;
      this.#left = TAR_BLOCK;
    }
    return ok(undefined);
  }

  #endMember(events: TarEvent[]): void {
    if (this.#inFile) events.push({ kind: 'end' });
    this.#pass(this.#padding);
  }

  #pass(padding: number): void {
    if (padding === 0) return this.#expectHeader();
    this.#state = 'padding';
    this.#left = padding;
  }

  #expectHeader(): void {
    this.#state = 'header';
    this.#left = TAR_BLOCK;
    this.#filled = 0;
    if (this.#block.length !== TAR_BLOCK) this.#block = new Uint8Array(TAR_BLOCK);
  }

  #takeHeader(events: TarEvent[]): Result<void> {
    if (this.#block.every((byte) => byte === 0)) {
      if (this.#pax !== undefined || this.#longName !== undefined) return malformed('it ends after an extended header');
      this.#state = 'trailer';
      this.#left = TAR_BLOCK;
      return ok(undefined);
    }
    const header = parseHeader(this.#block, this.#offset - TAR_BLOCK);
    if (!header.ok) return header;
    const { typeflag, size } = header.value;
    if (typeflag === 'x' || typeflag === 'g' || typeflag === 'L' || typeflag === 'K') {
      return this.#startExtension(typeflag, size);
    }
    return this.#startMember(header.value, events);
  }

  #startExtension(typeflag: string, size: number): Result<void> {
    const limit = typeflag === 'x' || typeflag === 'g' ? TAR_PAX_BYTES : TAR_NAME_BYTES + 1;
    if (size === 0 || size > limit) {
      return malformed(`an extended header has ${size} bytes where 1 to ${limit} are taken`);
    }
    this.#extensionType = typeflag;
    this.#state = 'extension';
    this.#left = size;
    this.#padding = tarPadding(size);
    this.#filled = 0;
    this.#block = new Uint8Array(size);
    return ok(undefined);
  }

  #takeExtension(): Result<void> {
    const bytes = this.#block;
    if (this.#extensionType === 'L') {
      const name = decodeUtf8(bytes.subarray(0, bytes.at(-1) === 0 ? -1 : bytes.length));
      if (name === undefined || this.#longName !== undefined)
        return malformed('a long name is not UTF-8, or comes twice');
      this.#longName = name;
    } else if (this.#extensionType !== 'K') {
      const pax = parsePax(bytes);
      if (!pax.ok) return pax;
      const global = this.#extensionType === 'g';
      if (global && (pax.value.path !== undefined || pax.value.size !== undefined)) {
        return malformed('a global header gives a path or a size');
      }
      if (!global && this.#pax !== undefined) return malformed('a member has two extended headers');
      if (!global) this.#pax = pax.value;
    }
    this.#pass(this.#padding);
    return ok(undefined);
  }

  #startMember(header: Header, events: TarEvent[]): Result<void> {
    const { path: longPath, size: longSize } = this.#pax ?? {};
    if (longPath !== undefined && this.#longName !== undefined) return malformed('a member has two long names');
    const member = parseMember({
      path: longPath ?? this.#longName ?? header.path,
      typeflag: header.typeflag,
      size: longSize ?? header.size,
    });
    this.#pax = undefined;
    this.#longName = undefined;
    if (!member.ok) return member;
    const size = member.value?.size ?? 0;
    this.#inFile = member.value?.type === 'file';
    if (member.value !== undefined) events.push({ kind: 'member', member: member.value, offset: this.#offset });
    this.#padding = tarPadding(size);
    this.#state = 'data';
    this.#left = size;
    if (size === 0) this.#endMember(events);
    return ok(undefined);
  }
}

/** The member that a header tells of; undefined for the root directory itself. */
function parseMember({ path, typeflag, size }: Header): Result<TarMember | undefined> {
  const type = { '0': 'file', '\0': 'file', '5': 'directory' }[typeflag];
  const shown = JSON.stringify(path.slice(0, 200));
  if (type === undefined) {
    return refuse(
      'special-file',
      `${shown} is a link, device or other special file; only files and directories are taken.`,
    );
  }
  let name = path;
  while (name.startsWith('./')) name = name.slice(2);
  if (type === 'directory') {
    if (size !== 0) return malformed(`the directory ${shown} has a size`);
    name = name.endsWith('/') ? name.slice(0, -1) : name;
    if ((name === '' && path.startsWith('.')) || name === '.') return ok(undefined);
  }
  const fault = pathFault(name);
  if (fault !== undefined) return refuse('path-outside-root', `The name ${shown} ${fault}; it cannot be taken.`);
  return ok({ path: name, type: type === 'file' ? 'file' : 'directory', size });
}

function parseHeader(block: Uint8Array, offset: number): Result<Header> {
  const magic = String.fromCharCode(...block.subarray(257, 265));
  const posix = magic === 'ustar\u000000';
  if (!posix && magic !== 'ustar  \0') return malformed(`byte ${offset} starts no POSIX or GNU header`);
  if (parseNumber(block.subarray(148, 156)) !== tarChecksum(block))
    return malformed(`the checksum at byte ${offset} is wrong`);
  const size = parseNumber(block.subarray(124, 136));
  if (size === undefined || size > TAR_MEMBER_BYTES)
    return malformed(`the size at byte ${offset} is over ${TAR_MEMBER_BYTES}`);
  const name = decodeUtf8(untilNul(block.subarray(0, 100)));
  const prefix = posix ? decodeUtf8(untilNul(block.subarray(345, 500))) : '';
  if (name === undefined || prefix === undefined) return malformed(`the name at byte ${offset} is not UTF-8`);
  return ok({
    path: prefix === '' ? name : `${prefix}/${name}`,
    typeflag: String.fromCharCode(block[156] ?? 0),
    size,
  });
}

/** An octal number with spaces or NULs around it, or GNU's base-256 form (first bit set); undefined when it is neither, or is not a safe integer. */
function parseNumber(field: Uint8Array): number | undefined {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    if (field[0] !== 0x80) return undefined;
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = /^ *([0-7]+)[ \0]*$/.exec(String.fromCharCode(...field))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function untilNul(field: Uint8Array): Uint8Array {
  const end = field.indexOf(0);
  return end < 0 ? field : field.subarray(0, end);
}
