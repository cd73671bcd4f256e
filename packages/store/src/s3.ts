import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { rm } from 'node:fs/promises';
import { readPack } from '@sluice/bundle';
import { type BlobStore, type Digest, hexOf, isDigest, OperationalError, type SpooledPack } from '@sluice/ports';
import { fileBytes, Inflow, verified } from './content.ts';
import { ioFault, mismatch, missing } from './errors.ts';

export interface S3Options {
  readonly endpoint: string;
  readonly bucket: string;
  /** Put before every key; ends with `/` or is empty. */
  readonly prefix: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** How long the service may take (defaults: S3_TIMEOUTS). */
  readonly timeouts?: typeof S3_TIMEOUTS;
}

/** Milliseconds until a connection stands, and with no byte moving on one; then the call fails, or is tried again by the SDK. */
export const S3_TIMEOUTS = { connect: 3000, idle: 15_000 };
/** How often one call is tried before it counts as failed. */
const ATTEMPTS = 3;
/** Least bytes of one part of a multipart upload; blobs up to one part go in one request. S3 wants at least 5 MiB. */
const PART_BYTES = 16 * 2 ** 20;
/** S3 takes no more parts than this: larger blobs have larger parts. */
const PARTS_MAX = 10_000;
/** Blobs put side by side by `putMany`; the SDK keeps 50 connections. */
const PARALLEL = 32;
/** Answers below 500 that a later try may change: timeout of the request, conflict with another call, too many calls. */
const PASSING = [408, 409, 429];

const statusOf = (error: unknown): number | undefined =>
  (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode;
/** The bytes of a file, hashed and compared. */
async function wholeFile(path: string, size: number, digest: Digest): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of new Inflow(digest, size, fileBytes(path))) pieces.push(piece);
    return Buffer.concat(pieces);
  } catch (error) {
    throw ioFault(error, `reading pack ${digest} from ${path}`);
  }
}

const isNotFound = (error: unknown): boolean => statusOf(error) === 404;

function fault(cause: unknown, what: string): OperationalError {
  if (cause instanceof OperationalError) return cause;
  const { name = 'error' } = cause as { readonly name?: string };
  const status = statusOf(cause);
  if (name === 'QuotaExceeded' || status === 507) {
    return new OperationalError(
      'store-full',
      `${what}: the quota of the bucket is used up; raise it and it goes on by itself`,
      { retryable: true, cause },
    );
  }
  if (status === undefined || status >= 500 || PASSING.includes(status)) {
    return new OperationalError(
      'store-unreachable',
      `${what}: the S3 service does not answer as it should (${name}); it is tried again`,
      { retryable: true, cause },
    );
  }
  return new OperationalError(
    'store-io',
    `${what}: S3 answered ${String(status)} ${name}; look at bucket and credentials`,
    { retryable: status === 403 || status === 404, cause },
  );
}

/** Blobs as objects `PREFIXblobs/sha256/HEX`. A key appears only after its bytes were hashed and found right. */
class S3Store implements BlobStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #aside: string;
  #cleaned: Promise<void> | undefined;

  constructor({ endpoint, bucket, prefix, region, credentials, timeouts = S3_TIMEOUTS }: S3Options) {
    // Ceph does not understand the SDK's default checksum trailers.
    this.#client = new S3Client({
      endpoint,
      region,
      credentials,
      forcePathStyle: true,
      maxAttempts: ATTEMPTS,
      requestHandler: { connectionTimeout: timeouts.connect, socketTimeout: timeouts.idle },
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
    this.#bucket = bucket;
    this.#prefix = `${prefix}blobs/sha256/`;
    this.#aside = `${prefix}damaged/`;
  }

  async put(digest: Digest, size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
    if ((await this.stat(digest)) !== size) await this.#put(new Inflow(digest, size, bytes));
  }

  async adopt(digest: Digest, size: number, path: string): Promise<void> {
    try {
      await this.put(digest, size, fileBytes(path));
      await rm(path, { force: true });
    } catch (error) {
      throw ioFault(error, `taking blob ${digest} in from ${path}`);
    }
  }

  async putMany(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<void> {
    const waiting = new Map(blobs.map((blob) => [blob.digest, blob.bytes] as const)).entries();
    const putSome = async (): Promise<void> => {
      // To ask for each whether it is there would cost more than to put the few that are once more.
      for (const [digest, bytes] of waiting) await this.#put(new Inflow(digest, bytes.length, bytes));
    };
    const ended = await Promise.allSettled(Array.from({ length: PARALLEL }, putSome));
    const failed = ended.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
  }

  /** Taken apart: an object for each blob. */
  async putPacks(packs: readonly SpooledPack[]): Promise<void> {
    for (const { digest, size, path } of packs) {
      const bytes = await wholeFile(path, size, digest);
      const members = readPack(bytes);
      if (!members.ok) throw mismatch(digest);
      await this.putMany(members.value);
    }
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
    if ((await this.stat(digest)) === undefined) throw await this.#absent(digest);
    return this.#bytes(digest);
  }

  async readVerified(digest: Digest, limit: number): Promise<Uint8Array> {
    return verified(digest, limit, this.#bytes(digest));
  }

  async remove(digest: Digest): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand(this.#at(digest)));
    } catch (error) {
      throw fault(error, `removing blob ${digest}`);
    }
  }

  async removeMany(digests: readonly Digest[]): Promise<void> {
    const waiting = digests.values();
    const removeSome = async (): Promise<void> => {
      for (const digest of waiting) await this.remove(digest);
    };
    const ended = await Promise.allSettled(Array.from({ length: PARALLEL }, removeSome));
    const failed = ended.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
  }

  /** Copied apart where the service can read it still, and removed in any case. */
  async setAside(digest: Digest): Promise<void> {
    const { Bucket, Key } = this.#at(digest);
    const CopySource = `${Bucket}/${Key}`;
    await this.#client
      .send(new CopyObjectCommand({ Bucket, Key: this.#aside + hexOf(digest), CopySource }))
      .catch(() => undefined);
    await this.remove(digest);
  }

  /** Packs are taken apart when they come in. */
  packOf(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async usage(): Promise<number> {
    let bytes = 0;
    for await (const { size } of this.list()) bytes += size;
    return bytes;
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

  /** Asked for when the first byte is wanted, so that a stream that nobody reads holds no connection. */
  async *#bytes(digest: Digest): AsyncGenerator<Uint8Array> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(digest)));
      for await (const chunk of Body as unknown as AsyncIterable<Uint8Array>) yield chunk;
    } catch (error) {
      throw isNotFound(error) ? await this.#absent(digest) : fault(error, `reading blob ${digest}`);
    }
  }

  /** A missing blob is an answer. A missing bucket, which looks the same, is a fault that can be mended. */
  async #absent(digest: Digest): Promise<OperationalError> {
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }));
      return missing(digest);
    } catch (error) {
      return fault(error, `looking for blob ${digest} in bucket ${this.#bucket}`);
    }
  }

  async #put(inflow: Inflow): Promise<void> {
    try {
      if (inflow.size <= PART_BYTES) await this.#putWhole(inflow);
      else await this.#putParts(inflow);
    } catch (error) {
      throw inflow.threw(error) ? error : fault(error, `storing blob ${inflow.digest}`);
    }
  }

  async #putWhole(inflow: Inflow): Promise<void> {
    for await (const Body of inflow.pieces(PART_BYTES)) {
      await this.#client.send(new PutObjectCommand({ ...this.#at(inflow.digest), Body, ContentLength: Body.length }));
    }
  }

  /** Parts are not visible until the upload is completed, and it is completed only when the hash is right. */
  async #putParts(inflow: Inflow): Promise<void> {
    await (this.#cleaned ??= this.#removeUploads());
    const at = this.#at(inflow.digest);
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(at));
    try {
      const parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
      for await (const Body of inflow.pieces(Math.max(PART_BYTES, Math.ceil(inflow.size / PARTS_MAX)))) {
        const PartNumber = parts.length + 1;
        const part = new UploadPartCommand({ ...at, UploadId, PartNumber, Body, ContentLength: Body.length });
        const { ETag } = await this.#client.send(part);
        parts.push({ PartNumber, ETag });
      }
      await this.#client.send(
        new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: parts } }),
      );
    } catch (error) {
      // The parts are garbage now. Should this fail too, the first error is the one to tell, and the next start removes them.
      await this.#client.send(new AbortMultipartUploadCommand({ ...at, UploadId })).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Aborts uploads that a crash left, a page of them at each start. Only the receiver stores blobs of more than one part, so none
   * is another process's work.
   */
  async #removeUploads(): Promise<void> {
    const where = { Bucket: this.#bucket, Prefix: this.#prefix };
    try {
      const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand(where));
      for (const { Key, UploadId } of Uploads) {
        await this.#client.send(new AbortMultipartUploadCommand({ Bucket: this.#bucket, Key, UploadId }));
      }
    } catch (error) {
      this.#cleaned = undefined;
      throw error;
    }
  }
}

/** A store in a bucket. The bucket must be there; nothing is asked of the service until the first call. */
export const openS3Store = (options: S3Options): BlobStore => new S3Store(options);
