import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type BlobStore, type Digest, hexOf, isDigest, OperationalError } from '@sluice/ports';
import { mismatch, missing, tooLarge } from './errors.ts';

export interface S3Options {
  readonly endpoint: string;
  readonly bucket: string;
  /** Put before every key; ends with `/` or is empty. */
  readonly prefix: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Bytes of one part of a multipart upload; blobs up to one part go in one request. S3 wants at least 5 MiB. */
const PART_BYTES = 16 * 2 ** 20;
/** Blobs put side by side by `putMany`. */
const PARALLEL = 8;

function fault(cause: unknown, what: string): OperationalError {
  if (cause instanceof OperationalError) return cause;
  const { name, $metadata } = cause as {
    readonly name?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (name === 'QuotaExceeded' || status === 507) {
    return new OperationalError(
      'store-full',
      `${what}: the quota of the bucket is used up; raise it and it goes on by itself`,
      { retryable: true, cause },
    );
  }
  if (status === undefined || status >= 500 || status === 429) {
    return new OperationalError(
      'store-unreachable',
      `${what}: the S3 service does not answer (${name ?? 'error'}); it is tried again`,
      { retryable: true, cause },
    );
  }
  return new OperationalError(
    'store-io',
    `${what}: S3 answered ${String(status)} ${name ?? ''}; look at bucket and credentials`,
    {
      retryable: status === 403 || status === 404,
      cause,
    },
  );
}

const isNotFound = (error: unknown): boolean =>
  (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode === 404;

/** Blobs as objects `PREFIXblobs/sha256/HEX`. A key appears only after its bytes were hashed and found right. */
class S3Store implements BlobStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor({ endpoint, bucket, prefix, region, credentials }: S3Options) {
    // Ceph does not understand the SDK's default checksum trailers.
    this.#client = new S3Client({
      endpoint,
      region,
      credentials,
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
    this.#bucket = bucket;
    this.#prefix = `${prefix}blobs/sha256/`;
  }

  async put(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
    if ((await this.stat(digest)) !== undefined) return;
    try {
      if (size <= PART_BYTES) await this.#putWhole(digest, await gathered(digest, size, bytes));
      else await this.#putParts(digest, size, bytes instanceof Uint8Array ? once(bytes) : bytes);
    } catch (error) {
      throw fault(error, `storing blob ${digest}`);
    }
    const there = await this.stat(digest);
    if (there !== size) {
      await this.remove(digest);
      throw mismatch(digest);
    }
  }

  async adopt(digest: Digest, size: number, path: string): Promise<void> {
    await this.put(digest, size, createReadStream(path, { highWaterMark: 1024 * 1024 }));
    await rm(path, { force: true });
  }

  async putMany(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<void> {
    const waiting = [...blobs];
    const putSome = async (): Promise<void> => {
      for (let blob = waiting.pop(); blob !== undefined; blob = waiting.pop()) {
        await this.put(blob.digest, blob.bytes.length, blob.bytes);
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: PARALLEL }, putSome));
    const failed = ended.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
  }

  async stat(digest: Digest): Promise<number | undefined> {
    try {
      const { ContentLength } = await this.#client.send(new HeadObjectCommand(this.#at(digest)));
      return ContentLength ?? 0;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw fault(error, `looking for blob ${digest}`);
    }
  }

  async read(digest: Digest): Promise<AsyncIterable<Uint8Array>> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(digest)));
      return Body as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw isNotFound(error) ? missing(digest) : fault(error, `reading blob ${digest}`);
    }
  }

  async readVerified(digest: Digest, limit: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of await this.read(digest)) {
        size += chunk.length;
        if (size > limit) throw tooLarge(digest, limit);
        chunks.push(chunk);
      }
    } catch (error) {
      throw fault(error, `reading blob ${digest}`);
    }
    const bytes = Buffer.concat(chunks);
    if (createHash('sha256').update(bytes).digest('hex') !== hexOf(digest)) throw mismatch(digest);
    return bytes;
  }

  async remove(digest: Digest): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand(this.#at(digest)));
    } catch (error) {
      throw fault(error, `removing blob ${digest}`);
    }
  }

  async *list(): AsyncGenerator<{ readonly digest: Digest; readonly size: number }> {
    let token: string | undefined;
    do {
      const page = await this.#page(token);
      for (const { Key = '', Size = 0 } of page.Contents ?? []) {
        const digest = `sha256:${Key.slice(this.#prefix.length)}`;
        if (isDigest(digest)) yield { digest, size: Size };
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  async #page(token: string | undefined) {
    try {
      const next = token === undefined ? {} : { ContinuationToken: token };
      return await this.#client.send(new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix, ...next }));
    } catch (error) {
      throw fault(error, 'listing the store');
    }
  }

  #at(digest: Digest): { readonly Bucket: string; readonly Key: string } {
    if (!isDigest(digest)) throw new Error('not a digest');
    return { Bucket: this.#bucket, Key: this.#prefix + hexOf(digest) };
  }

  async #putWhole(digest: Digest, bytes: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ ...this.#at(digest), Body: bytes, ContentLength: bytes.length }));
  }

  /** Parts are not visible until the upload is completed, and it is completed only when the hash is right. */
  async #putParts(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const at = this.#at(digest);
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(at));
    try {
      const hash = createHash('sha256');
      const parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
      let seen = 0;
      for await (const part of inParts(bytes)) {
        seen += part.length;
        if (seen > size) throw mismatch(digest);
        hash.update(part);
        const PartNumber = parts.length + 1;
        const { ETag } = await this.#client.send(
          new UploadPartCommand({ ...at, UploadId, PartNumber, Body: part, ContentLength: part.length }),
        );
        parts.push({ PartNumber, ETag });
      }
      if (seen !== size || hash.digest('hex') !== hexOf(digest)) throw mismatch(digest);
      await this.#client.send(
        new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: parts } }),
      );
    } catch (error) {
      // The parts are garbage now; if this fails too the first error is the one to tell.
      await this.#client.send(new AbortMultipartUploadCommand({ ...at, UploadId })).catch(() => undefined);
      throw error;
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** All bytes in memory, hashed and found right. */
async function gathered(
  digest: Digest,
  size: number,
  bytes: AsyncIterable<Uint8Array> | Uint8Array,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
    seen += chunk.length;
    if (seen > size) throw mismatch(digest);
    chunks.push(chunk);
  }
  const whole = Buffer.concat(chunks);
  if (seen !== size || createHash('sha256').update(whole).digest('hex') !== hexOf(digest)) throw mismatch(digest);
  return whole;
}

/** The stream cut into parts of `PART_BYTES`, the last one shorter. */
async function* inParts(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < PART_BYTES) continue;
    let whole: Uint8Array = Buffer.concat(waiting);
    for (; whole.length >= PART_BYTES; whole = whole.subarray(PART_BYTES)) yield whole.subarray(0, PART_BYTES);
    waiting = [whole];
    size = whole.length;
  }
  if (size > 0) yield Buffer.concat(waiting);
}

/** A store in a bucket. The bucket must be there; nothing is asked of the service until the first call. */
export const openS3Store = (options: S3Options): BlobStore => new S3Store(options);
