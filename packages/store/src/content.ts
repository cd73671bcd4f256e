import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Digest, hexOf } from '@sluice/ports';
import { exchanged, mismatch, tooLarge } from './errors.ts';

const READ_BYTES = 1024 * 1024;
const READ_BYTES_LEAST = 4096;

/** Bytes on their way into a store: after the last one it throws `store-digest-mismatch` unless size and hash are right. */
export class Inflow implements AsyncIterable<Uint8Array> {
  readonly digest: Digest;
  readonly size: number;
  readonly #bytes: AsyncIterable<Uint8Array> | Uint8Array;
  #failure: { readonly error: unknown } | undefined;

  constructor(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array) {
    this.digest = digest;
    this.size = size;
    this.#bytes = bytes;
  }

  /** True for an error of the caller's own stream: it is no error of the store and goes back as it came. */
  threw(error: unknown): boolean {
    return this.#failure !== undefined && this.#failure.error === error;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    let seen = 0;
    try {
      for await (const chunk of this.#bytes instanceof Uint8Array ? [this.#bytes] : this.#bytes) {
        seen += chunk.length;
        if (seen > this.size) throw mismatch(this.digest);
        hash.update(chunk);
        yield chunk;
      }
      if (seen !== this.size || hash.digest('hex') !== hexOf(this.digest)) throw mismatch(this.digest);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /** The same bytes in pieces of `length`, the last one shorter and given only when all were right. Each piece is memory of its own. */
  async *pieces(length: number): AsyncGenerator<Uint8Array> {
    let left = this.size;
    let piece = Buffer.allocUnsafe(Math.min(length, left));
    let filled = 0;
    for await (const chunk of this) {
      for (let rest = chunk; rest.length > 0;) {
        if (filled === piece.length) {
          yield piece;
          left -= filled;
          piece = Buffer.allocUnsafe(Math.min(length, left));
          filled = 0;
        }
        const taken = rest.subarray(0, piece.length - filled);
        piece.set(taken, filled);
        filled += taken.length;
        rest = rest.subarray(taken.length);
      }
    }
    yield piece;
  }
}

/** All bytes of a stored blob, hashed. @throws OperationalError `store-too-large`, `store-digest-mismatch` */
export async function verified(digest: Digest, limit: number, bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const hash = createHash('sha256');
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > limit) throw tooLarge(digest, limit);
    hash.update(chunk);
    chunks.push(chunk);
  }
  if (hash.digest('hex') !== hexOf(digest)) throw exchanged(digest);
  return Buffer.concat(chunks);
}

/** Opens a regular file; a link is not followed and a pipe not waited for. */
export const openFile = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);

/** The bytes of a file, or of a range of it, which is opened when the first one is asked for and closed with the last, or when asking ends. */
export async function* fileBytes(
  path: string,
  range?: { readonly offset: number; readonly size: number },
): AsyncGenerator<Uint8Array> {
  await using file = await openFile(path);
  const size = range?.size ?? (await file.stat()).size;
  for (let done = 0; range === undefined || done < size;) {
    const least = range === undefined ? READ_BYTES_LEAST : 0;
    const buffer = new Uint8Array(Math.min(READ_BYTES, Math.max(size - done, least)));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, range === undefined ? null : range.offset + done);
    if (bytesRead === 0) return;
    done += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
