import { createHash } from 'node:crypto';
import { isDigest, type Digest } from '@sluice/ports';
import { openAuthorized, type Authorized, type AuthorizedOptions } from './auth.ts';
import { failure } from './classify.ts';
import { printable, RegistryError } from './errors.ts';
import { MANIFEST_LIMIT, type Answer } from './http.ts';

/** Every manifest type we carry; distribution 2.8 answers 404 for an OCI manifest when its type is not accepted. */
export const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

export interface ManifestAnswer {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface ReferrerDescriptor {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly artifactType: string | undefined;
}

/** Client of one OCI registry (distribution-spec 1.1). Every method throws RegistryError; repositories are `project/path`. */
export interface Registry {
  readonly origin: string;
  /** GET /v2/ */
  ping(): Promise<void>;
  /** Size of the blob in bytes, undefined when absent. On Harbor this also keeps the blob from garbage collection for a while. */
  blobSize(repository: string, digest: Digest): Promise<number | undefined>;
  /**
   * Sends the blob in one PUT of exactly `size` bytes, or mounts it from `mountFrom`. The source is read once; what it throws
   * reaches the caller and leaves no blob. Resolves to how it came there.
   */
  pushBlob(
    repository: string,
    blob: { readonly digest: Digest; readonly size: number; readonly read: () => Promise<AsyncIterable<Uint8Array>> },
    mountFrom?: string,
  ): Promise<'mounted' | 'uploaded'>;
  /** Manifest by digest or tag, hashed; undefined when absent. */
  manifest(repository: string, reference: string): Promise<ManifestAnswer | undefined>;
  /** Digest of a manifest by digest or tag (HEAD), undefined when absent. */
  manifestDigest(repository: string, reference: string): Promise<Digest | undefined>;
  /** PUT by digest, or by `tag`. The bytes go out verbatim and the registry's digest is compared. */
  pushManifest(
    repository: string,
    manifest: { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array },
    tag?: string,
  ): Promise<void>;
  /** Referrers of a manifest (distribution-spec 1.1); undefined when the registry has no referrers API. */
  referrers(repository: string, digest: Digest): Promise<readonly ReferrerDescriptor[] | undefined>;
  close(): void;
}

const sha256 = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function parseReferrers(answer: Answer): ReferrerDescriptor[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.body.toString('utf8'));
  } catch (cause) {
    throw new RegistryError('registry-answer-malformed', 'the referrers answer is not JSON; check the registry', {
      cause,
    });
  }
  const manifests: unknown = (parsed as { manifests?: unknown } | null)?.manifests;
  const list: unknown[] = Array.isArray(manifests) ? manifests : [];
  return list.flatMap((entry) => {
    const { digest, mediaType, size, artifactType } = (entry ?? {}) as Record<string, unknown>;
    if (!isDigest(digest) || typeof mediaType !== 'string' || typeof size !== 'number') return [];
    return [{ digest, mediaType, size, artifactType: typeof artifactType === 'string' ? artifactType : undefined }];
  });
}

class DistributionClient implements Registry {
  readonly origin: string;
  readonly #http: Authorized;

  constructor(options: AuthorizedOptions) {
    this.#http = openAuthorized(options);
    this.origin = this.#http.origin;
  }

  async ping(): Promise<void> {
    const answer = await this.#http.ask({ method: 'GET', path: '/v2/' });
    if (answer.status !== 200) throw failure(answer, `signing in at ${this.origin}`);
  }

  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    const path = `/v2/${repository}/blobs/${digest}`;
    const answer = await this.#http.ask({ method: 'HEAD', path }, scopeOf(repository));
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw failure(answer, `looking for blob ${digest} in ${repository}`);
    const length = Number(answer.headers['content-length']);
    return Number.isSafeInteger(length) ? length : undefined;
  }

  async pushBlob(
    repository: string,
    blob: { readonly digest: Digest; readonly size: number; readonly read: () => Promise<AsyncIterable<Uint8Array>> },
    mountFrom?: string,
  ): Promise<'mounted' | 'uploaded'> {
    const { digest, size } = blob;
    const mount = mountFrom === undefined ? '' : `?mount=${digest}&from=${encodeURIComponent(mountFrom)}`;
    const path = `/v2/${repository}/blobs/uploads/${mount}`;
    const start = await this.#http.ask({ method: 'POST', path }, scopeOf(repository));
    if (start.status === 201 && mountFrom !== undefined) return 'mounted';
    if (start.status !== 202) throw failure(start, `starting the upload of ${digest} to ${repository}`);
    const target = this.#location(start);
    target.searchParams.set('digest', digest);
    const put = await this.#http.ask(
      {
        method: 'PUT',
        path: `${target.pathname}${target.search}`,
        headers: { 'content-type': 'application/octet-stream' },
        body: { size, bytes: await blob.read() },
      },
      scopeOf(repository),
    );
    if (put.status !== 201) throw failure(put, `uploading ${digest} to ${repository}`);
    this.#compare(put, digest, `the upload of blob ${digest} to ${repository}`);
    return 'uploaded';
  }

  async manifest(repository: string, reference: string): Promise<ManifestAnswer | undefined> {
    const headers = { accept: MANIFEST_TYPES.join(', ') };
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await this.#http.ask({ method: 'GET', path, headers, limit: MANIFEST_LIMIT }, scopeOf(repository));
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw failure(answer, `reading manifest ${printable(reference)} of ${repository}`);
    const digest = sha256(answer.body);
    if (isDigest(reference) && digest !== reference) {
      const text = `${this.origin} answers ${repository}@${reference} with bytes of ${digest}; its storage is damaged`;
      throw new RegistryError('registry-digest-mismatch', text, { status: 200, requestId: answer.requestId });
    }
    this.#compare(answer, digest, `manifest ${printable(reference)} of ${repository}`);
    return { digest, mediaType: answer.headers['content-type'] ?? '', bytes: answer.body };
  }

  async manifestDigest(repository: string, reference: string): Promise<Digest | undefined> {
    const headers = { accept: MANIFEST_TYPES.join(', ') };
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await this.#http.ask({ method: 'HEAD', path, headers }, scopeOf(repository));
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw failure(answer, `looking for manifest ${printable(reference)} in ${repository}`);
    const digest = answer.headers['docker-content-digest'];
    if (isDigest(digest)) return digest;
    throw new RegistryError(
      'registry-answer-malformed',
      `${this.origin} names no digest for a manifest; check the registry`,
    );
  }

  async pushManifest(
    repository: string,
    manifest: { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array },
    tag?: string,
  ): Promise<void> {
    const path = `/v2/${repository}/manifests/${tag ?? manifest.digest}`;
    const headers = { 'content-type': manifest.mediaType };
    const answer = await this.#http.ask({ method: 'PUT', path, headers, body: manifest.bytes }, scopeOf(repository));
    if (answer.status !== 201) throw failure(answer, `pushing manifest ${manifest.digest} to ${repository}`);
    this.#compare(answer, manifest.digest, `the push of manifest ${manifest.digest} to ${repository}`);
  }

  async referrers(repository: string, digest: Digest): Promise<readonly ReferrerDescriptor[] | undefined> {
    const path = `/v2/${repository}/referrers/${digest}`;
    const answer = await this.#http.ask({ method: 'GET', path, limit: MANIFEST_LIMIT }, scopeOf(repository));
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw failure(answer, `reading the referrers of ${digest} in ${repository}`);
    return parseReferrers(answer);
  }

  close(): void {
    this.#http.close();
  }

  /** Where to upload: path and query of the answer at our own origin, so credentials stay there whatever host a proxy puts in. */
  #location(answer: Answer): URL {
    const location = answer.headers.location ?? '';
    if (location === '' || !URL.canParse(location, this.origin)) {
      const text = `${this.origin} started an upload without a usable Location; check the proxy before it`;
      throw new RegistryError('registry-answer-malformed', text, { requestId: answer.requestId });
    }
    const parsed = new URL(location, this.origin);
    return new URL(`${parsed.pathname}${parsed.search}`, this.origin);
  }

  #compare(answer: Answer, digest: Digest, what: string): void {
    const theirs = answer.headers['docker-content-digest'];
    if (theirs === undefined || theirs === digest) return;
    const text = `${this.origin} names ${printable(theirs, 80)} for ${what}; its storage or a proxy changes bytes`;
    throw new RegistryError('registry-digest-mismatch', text, { status: answer.status, requestId: answer.requestId });
  }
}

const scopeOf = (repository: string): string => `repository:${repository}:pull,push`;

export const openRegistry = (options: AuthorizedOptions): Registry => new DistributionClient(options);
