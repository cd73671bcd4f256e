import { createHash } from 'node:crypto';
import http from 'node:http';
import type { IncomingMessage } from 'node:http';
import { answer, readBody, refuse, type Answering } from './exchange.ts';
import type { Artifact, State } from './state.ts';

const MANIFEST_LIMIT = 4 * 1024 * 1024;
const NAME = /^\/v2\/(.+)\/(blobs|manifests|tags|referrers)\/(.*)$/;

export interface Place {
  readonly repository: string;
  readonly kind: string;
  readonly rest: string;
}

export function placeOf(path: string): Place | undefined {
  const [, repository, kind, rest] = NAME.exec(path) ?? [];
  return repository === undefined || kind === undefined || rest === undefined ? undefined : { repository, kind, rest };
}

/** /v2: blobs go through to the registry behind; tags, artifacts, referrers and quota are kept here, as Harbor keeps them in its database. */
export class RegistryFront {
  readonly #state: State;
  readonly #upstream: URL;
  readonly #agent = new http.Agent({ keepAlive: true });

  constructor(state: State, upstream: string) {
    this.#state = state;
    this.#upstream = new URL(upstream);
  }

  close(): void {
    this.#agent.destroy();
  }

  async handle(on: Answering, place: Place): Promise<void> {
    const { repository, kind, rest } = place;
    if (kind === 'tags') {
      const tags = [...(this.#state.repositories.get(repository)?.tags.keys() ?? [])].sort();
      answer(on, 200, { name: repository, tags });
      return;
    }
    if (kind === 'referrers') {
      this.#referrers(on, repository, rest);
      return;
    }
    if (kind === 'blobs') return this.#blob(on, repository, rest);
    if (on.method === 'PUT') return this.#putManifest(on, repository, decodeURIComponent(rest));
    const digest = this.#state.resolve(repository, decodeURIComponent(rest));
    if (digest === undefined) {
      refuse(on, 404, 'MANIFEST_UNKNOWN', `${repository}:${rest} not found`);
      return;
    }
    await this.#pass(on, `/v2/${repository}/manifests/${digest}`);
  }

  #referrers(on: Answering, repository: string, digest: string): void {
    const filter = on.query.get('artifactType');
    const all = [...(this.#state.repositories.get(repository)?.artifacts.values() ?? [])];
    const manifests = all
      .filter((artifact) => artifact.subject === digest && (filter === null || artifact.artifactType === filter))
      .map(({ mediaType, digest: own, size, artifactType }) => ({ mediaType, digest: own, size, artifactType }));
    const headers = {
      'content-type': 'application/vnd.oci.image.index.v1+json',
      ...(filter === null ? {} : { 'oci-filters-applied': 'artifactType' }),
    };
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    answer(on, 200, { schemaVersion: 2, mediaType, manifests }, headers);
  }

  async #blob(on: Answering, repository: string, rest: string): Promise<void> {
    const project = this.#state.project(repository);
    const coming = on.method === 'PUT' ? Number(on.request.headers['content-length'] ?? 0) : 0;
    const writing = on.method === 'PUT' || on.method === 'POST';
    const used = this.#state.used(repository);
    if (
      writing &&
      project !== undefined &&
      project.quota >= 0 &&
      (used >= project.quota || used + coming > project.quota)
    ) {
      const text = `adding ${coming} B of storage resource, which when updated to current usage of ${used} B will exceed the configured upper limit of ${project.quota} B.`;
      refuse(on, 403, 'DENIED', text);
      return;
    }
    const upstream = await this.#pass(on, on.request.url ?? '');
    const digest = on.query.get('digest');
    if (upstream === 201 && on.method === 'PUT' && digest !== null) {
      this.#state.repository(repository).blobs.set(digest, coming);
      this.#state.save();
    }
    const mounted = on.query.get('mount');
    const from = on.query.get('from');
    if (upstream === 201 && mounted !== null && from !== null) {
      const size = this.#state.repositories.get(from)?.blobs.get(mounted) ?? 0;
      this.#state.repository(repository).blobs.set(mounted, size);
      this.#state.save();
    }
    on.exchange.answer = rest === '' ? undefined : on.exchange.answer;
  }

  async #putManifest(on: Answering, repository: string, reference: string): Promise<void> {
    const body = await readBody(on.request, MANIFEST_LIMIT);
    if (body === undefined) {
      refuse(on, 413, 'REQUEST_ENTITY_TOO_LARGE', 'manifest is too large');
      return;
    }
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const byTag = !reference.includes(':');
    if (!byTag && reference !== digest) {
      refuse(on, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
      return;
    }
    const known = this.#state.repositories.get(repository);
    if (byTag && known?.tags.has(reference) === true && this.#state.isImmutable(repository, reference)) {
      const text = `Failed to process request due to '${repository}:${reference}' configured as immutable.`;
      refuse(on, 412, 'PRECONDITION', text);
      return;
    }
    const mediaType = on.request.headers['content-type'] ?? '';
    const upstream = await this.#ask('PUT', `/v2/${repository}/manifests/${digest}`, body, mediaType);
    if (upstream.status !== 201) {
      on.exchange.status = upstream.status;
      on.response.writeHead(upstream.status, { 'content-type': 'application/json' }).end(upstream.body);
      return;
    }
    const artifact = this.#record(repository, digest, mediaType, body);
    if (byTag) this.#state.setTag(repository, reference, digest, true);
    answer(on, 201, undefined, {
      'docker-content-digest': digest,
      location: `/v2/${repository}/manifests/${digest}`,
      ...(artifact.subject === undefined ? {} : { 'oci-subject': artifact.subject }),
    });
  }

  #record(repository: string, digest: string, mediaType: string, body: Buffer): Artifact {
    const held = this.#state.repository(repository);
    const known = held.artifacts.get(digest);
    if (known !== undefined) return known;
    const manifest = JSON.parse(body.toString()) as {
      artifactType?: string;
      config?: { mediaType: string; digest: string };
      layers?: { digest: string }[];
      manifests?: { digest: string }[];
      subject?: { digest: string };
    };
    const artifact: Artifact = {
      id: this.#state.nextId(),
      digest,
      mediaType,
      artifactType: manifest.artifactType ?? manifest.config?.mediaType ?? '',
      size: body.length,
      pushTime: new Date().toISOString(),
      subject: manifest.subject?.digest,
      children: (manifest.manifests ?? []).map((child) => child.digest),
      blobs: [manifest.config, ...(manifest.layers ?? [])].flatMap((blob) => (blob === undefined ? [] : [blob.digest])),
    };
    held.artifacts.set(digest, artifact);
    this.#state.save();
    return artifact;
  }

  #options(method: string, path: string): http.RequestOptions {
    return { host: this.#upstream.hostname, port: this.#upstream.port, method, path, agent: this.#agent };
  }

  async #ask(method: string, path: string, body: Buffer, type: string): Promise<{ status: number; body: Buffer }> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = { 'content-type': type, 'content-length': body.length };
    http
      .request({ ...this.#options(method, path), headers }, resolve)
      .on('error', reject)
      .end(body);
    const message = await promise;
    return { status: message.statusCode ?? 500, body: (await readBody(message, MANIFEST_LIMIT)) ?? Buffer.alloc(0) };
  }

  /** Streams the request to the registry behind and its answer back, without the caller's credentials. Resolves to the status. */
  async #pass(on: Answering, path: string): Promise<number> {
    const headers = { ...on.request.headers };
    delete headers.authorization;
    delete headers['x-request-id'];
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const upstream = http.request({ ...this.#options(on.method, path), headers }, resolve).on('error', reject);
    on.request.on('close', () => {
      if (!on.request.complete) upstream.destroy();
    });
    on.request.pipe(upstream);
    const message = await promise;
    const out = { ...message.headers };
    // Relative, as Harbor's own registry is configured.
    if (out.location !== undefined) {
      const location = new URL(out.location, this.#upstream);
      out.location = `${location.pathname}${location.search}`;
    }
    on.exchange.status = message.statusCode ?? 500;
    on.response.writeHead(on.exchange.status, out);
    message.pipe(on.response);
    return on.exchange.status;
  }
}
