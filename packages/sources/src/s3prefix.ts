import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { OperationalError } from '@sluice/ports';
import type { BundleCode, Result } from '@sluice/ports';
import { pathFault, tarHeader, tarPadding, tarTrailer } from '@sluice/bundle';
import { RefusedInput } from './beneath.ts';
import type { Intake, Receive } from './intake.ts';
import type { ReceptionPlaces } from './reception.ts';
import { RELEASE_FILE } from './scan.ts';
import type { Submission } from './work-area.ts';

/** Remembers, durably, which bundles were taken: by the key of their release file and its ETag. */
export interface SeenBundles {
  seen(key: string, etag: string): boolean;
  remember(key: string, etag: string): void;
}

export interface S3PrefixOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** Ends with `/`, or is empty for the whole bucket. */
  readonly prefix: string;
  readonly intake: Intake;
  readonly seen: SeenBundles;
  /** Most objects under the prefix. */
  readonly entries: number;
  readonly receive: Receive;
  /** A bundle, or the bucket itself, could not be fetched; the next poll tries again. */
  readonly onFailure: (error: OperationalError) => void;
}

interface StoredObject {
  /** The key below the bundle's prefix. */
  readonly path: string;
  readonly key: string;
  readonly size: number;
  readonly etag: string;
}

/**
 * Takes bundles from an S3 prefix. A bundle is a sub-prefix that holds `release.dsse.json`, uploaded last; it is taken once for each ETag of that file.
 * Nothing in the bucket is changed.
 */
export class S3Prefix {
  readonly #options: S3PrefixOptions;

  constructor(options: S3PrefixOptions) {
    this.#options = options;
  }

  /** Fetches and settles every bundle that is new. */
  async poll(): Promise<void> {
    const { intake, seen, onFailure } = this.#options;
    await intake.retry();
    try {
      for (const [name, objects] of await this.#bundles()) {
        const release = objects.find(({ path }) => path === RELEASE_FILE);
        if (release === undefined || seen.seen(release.key, release.etag)) continue;
        await intake.receive(
          name,
          (places, submission) => this.#fetch(objects, places, submission),
          () => seen.remember(release.key, release.etag),
        );
      }
    } catch (error) {
      if (!(error instanceof OperationalError)) throw error;
      onFailure(error);
    }
  }

  /** What lies below the prefix, by the first segment below it. */
  async #bundles(): Promise<Map<string, StoredObject[]>> {
    const { client, bucket, prefix, entries } = this.#options;
    const bundles = new Map<string, StoredObject[]>();
    let token: string | undefined;
    let listed = 0;
    do {
      const page = await this.#world(`Listing s3://${bucket}/${prefix}`, () =>
        client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token })),
      );
      for (const { Key: key = '', Size: size = 0, ETag: etag = '' } of page.Contents ?? []) {
        listed += 1;
        const [name = '', ...rest] = key.slice(prefix.length).split('/');
        // A key that ends with a slash is a directory's marker.
        if (rest.length === 0 || rest.at(-1) === '' || name.startsWith('.') || pathFault(name) !== undefined) continue;
        const objects = bundles.get(name) ?? [];
        objects.push({ path: rest.join('/'), key, size, etag });
        bundles.set(name, objects);
      }
      token = page.NextContinuationToken;
    } while (token !== undefined && listed <= entries);
    if (token !== undefined) {
      throw new OperationalError(
        's3-too-many',
        `s3://${bucket}/${prefix} has more than ${entries} objects; remove what was taken, or raise the limit.`,
        { retryable: true },
      );
    }
    return bundles;
  }

  async #fetch(
    objects: readonly StoredObject[],
    places: ReceptionPlaces,
    submission: Submission,
  ): Promise<Result<undefined>> {
    try {
      return await this.#options.receive(this.#asTar(objects), places, submission);
    } catch (error) {
      if (error instanceof RefusedInput) return { ok: false, error: error.refusal };
      throw error;
    }
  }

  /** The objects of a bundle as a submission has them. */
  async *#asTar(objects: readonly StoredObject[]): AsyncGenerator<Uint8Array> {
    for (const object of objects) {
      const { path, size, key } = object;
      const fault = pathFault(path);
      if (fault !== undefined) throw refusedInput('path-outside-root', `The key ${JSON.stringify(key)} ${fault}.`);
      yield tarHeader({ path, type: 'file', size });
      let bytes = 0;
      for await (const piece of this.#read(object)) {
        bytes += piece.length;
        if (bytes > size) break;
        yield piece;
      }
      if (bytes !== size) {
        throw refusedInput('size-mismatch', `${JSON.stringify(key)} has not the ${size} bytes that the bucket lists.`);
      }
      yield new Uint8Array(tarPadding(size));
    }
    yield tarTrailer();
  }

  async *#read({ key, etag }: StoredObject): AsyncGenerator<Uint8Array> {
    const { client, bucket } = this.#options;
    const what = `Reading s3://${bucket}/${key}`;
    const { Body: body } = await this.#world(what, () =>
      client.send(new GetObjectCommand({ Bucket: bucket, Key: key, IfMatch: etag })),
    );
    if (body === undefined) throw new OperationalError('s3-unavailable', `${what} gave no bytes.`, { retryable: true });
    const pieces = body.transformToWebStream()[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    for (;;) {
      const piece = await this.#world(what, () => pieces.next());
      if (piece.done === true) return;
      yield piece.value;
    }
  }

  async #world<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new OperationalError('s3-unavailable', `${what} failed: ${reason}; it is tried again with the next poll.`, {
        retryable: true,
        cause: error,
      });
    }
  }
}

const refusedInput = (code: BundleCode, detail: string): RefusedInput => new RefusedInput({ code, detail });
