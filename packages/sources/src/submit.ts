import { lstatSync, realpathSync } from 'node:fs';
import { basename, join as joinPath } from 'node:path';
import { OperationalError } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { pathFault, tarHeader, tarPadding, tarTrailer } from '@sluice/bundle';
import type { TarMember } from '@sluice/bundle';
import { fstatSync } from 'node:fs';
import { readInto, Root } from './beneath.ts';
import { join, shown } from './scan.ts';

/** Bytes of a piece of the stream. */
const PIECE_BYTES = 1024 * 1024;

/**
 * A tar of these paths, read as the caller, in large pieces. The content of one directory alone is the bundle; of several paths each goes under its own
 * base name. Throws OperationalError `submit-input` for what the other side would refuse anyway: links, special files, names, files that change meanwhile.
 */
export function* writeSubmitStream(paths: readonly string[]): Generator<Uint8Array> {
  const writer = new TarWriter();
  const [only] = paths;
  if (paths.length === 1 && only !== undefined && lstatSync(resolved(only)).isDirectory()) {
    yield* packTree(writer, resolved(only), '', '');
  } else {
    const names = new Set<string>();
    for (const path of paths) {
      const name = basename(path);
      if (names.has(name))
        throw submitFault(`Two of the paths are named ${shown(name)}; submit a directory that holds both.`);
      names.add(name);
      yield* packPath(writer, resolved(path), name);
    }
  }
  yield* writer.take(tarTrailer());
  yield writer.rest();
}

/** Where a path that the caller named leads: links to what is submitted are followed, links in it are not. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw submitFault(
      `${shown(path)} cannot be read: ${(error as Error).message}; name a file or directory that is there.`,
    );
  }
}

function* packPath(writer: TarWriter, path: string, name: string): Generator<Uint8Array> {
  if (lstatSync(path).isDirectory()) {
    yield* writer.take(tarHeader(checked({ path: name, type: 'directory', size: 0 })));
    yield* packTree(writer, path, '', name);
    return;
  }
  using root = valueOf(Root.open(joinPath(path, '..')));
  yield* packFile(writer, root, basename(path), name);
}

function* packTree(writer: TarWriter, top: string, path: string, prefix: string): Generator<Uint8Array> {
  using root = valueOf(Root.open(top));
  yield* packDirectory(writer, root, path, prefix);
}

function* packDirectory(writer: TarWriter, root: Root, path: string, prefix: string): Generator<Uint8Array> {
  for (const name of valueOf(root.list(path, Infinity))) {
    const child = join(path, name);
    const member = join(prefix, name);
    if (valueOf(root.stat(child)).type === 'file') yield* packFile(writer, root, child, member);
    else {
      yield* writer.take(tarHeader(checked({ path: member, type: 'directory', size: 0 })));
      yield* packDirectory(writer, root, child, member);
    }
  }
}

function* packFile(writer: TarWriter, root: Root, path: string, member: string): Generator<Uint8Array> {
  using file = valueOf(root.openFile(path));
  const { size } = fstatSync(file.descriptor);
  yield* writer.take(tarHeader(checked({ path: member, type: 'file', size })));
  const sent = yield* writer.takeFile(file.descriptor, size);
  if (sent !== size)
    throw submitFault(`${shown(member)} became shorter while it was read; submit it again once it is complete.`);
  yield* writer.take(new Uint8Array(tarPadding(size)));
}

/** Puts what comes into pieces of one size; a file is read straight into them. */
class TarWriter {
  #piece = new Uint8Array(PIECE_BYTES);
  #filled = 0;

  *take(bytes: Uint8Array): Generator<Uint8Array> {
    for (let rest = bytes; rest.length > 0;) {
      const taken = rest.subarray(0, this.#piece.length - this.#filled);
      this.#piece.set(taken, this.#filled);
      rest = rest.subarray(taken.length);
      yield* this.#grown(taken.length);
    }
  }

  /** Returns how many bytes the file had. */
  *takeFile(descriptor: number, size: number): Generator<Uint8Array, number> {
    let done = 0;
    while (done < size) {
      const room = this.#piece.subarray(this.#filled, this.#filled + size - done);
      const got = readInto(descriptor, room, done);
      done += got;
      yield* this.#grown(got);
      if (got < room.length) break;
    }
    return done;
  }

  rest(): Uint8Array {
    return this.#piece.subarray(0, this.#filled);
  }

  *#grown(bytes: number): Generator<Uint8Array> {
    this.#filled += bytes;
    if (this.#filled < this.#piece.length) return;
    yield this.#piece;
    this.#piece = new Uint8Array(PIECE_BYTES);
    this.#filled = 0;
  }
}

function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw submitFault(result.error.detail);
}

function checked(member: TarMember): TarMember {
  const fault = pathFault(member.path);
  if (fault === undefined) return member;
  throw submitFault(`The name ${shown(member.path)} ${fault}; rename it.`);
}

const submitFault = (message: string): OperationalError =>
  new OperationalError('submit-input', message, { retryable: false });
