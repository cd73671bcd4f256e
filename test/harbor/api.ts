import type { Doorkeeper } from './auth.ts';
import { answer, readBody, refuse, type Answering } from './exchange.ts';
import type { Replications } from './replication.ts';
import type { Artifact, Repository, State } from './state.ts';

const BODY_LIMIT = 64 * 1024;
const PROJECT = /^[a-z0-9]+([._-][a-z0-9]+)*$/;
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

type Route = readonly [method: string, path: RegExp, handle: (on: Answering, parts: string[], body: unknown) => void];

/** /api/v2.0: the operations of harbor-api.json. */
export class Api {
  readonly #state: State;
  readonly #doorkeeper: Doorkeeper;
  readonly #routes: readonly Route[];
  scans = 0;
  /** System robots as those see them who may list robots; undefined for an account that may not. */
  robots: readonly { readonly name: string; readonly expires_at: number; readonly disable: boolean }[] | undefined;
  /** Harbor's maintenance switch. */
  readOnly = false;

  constructor(state: State, replications: Replications, doorkeeper: Doorkeeper) {
    this.#state = state;
    this.#doorkeeper = doorkeeper;
    const artifact = '/projects/([^/]+)/repositories/([^/]+)/artifacts/([^/]+)';
    this.#routes = [
      ['GET', /^\/systeminfo$/, (on) => this.#systemInfo(on)],
      ['GET', /^\/robots$/, (on) => this.#listRobots(on)],
      ['HEAD', /^\/projects$/, (on) => this.#headProject(on)],
      ['POST', /^\/projects$/, (on, _parts, body) => this.#createProject(on, body)],
      ['GET', new RegExp(`^${artifact}$`), (on, parts) => this.#artifact(on, parts)],
      ['POST', new RegExp(`^${artifact}/tags$`), (on, parts, body) => this.#createTag(on, parts, body)],
      ['POST', new RegExp(`^${artifact}/scan$`), (on, parts) => this.#scan(on, parts)],
      ['GET', /^\/replication\/policies$/, (on) => replications.listPolicies(on)],
      ['GET', /^\/replication\/executions$/, (on) => replications.list(on)],
      ['POST', /^\/replication\/executions$/, (on, _parts, body) => replications.start(on, body)],
      ['GET', /^\/replication\/executions\/(\d+)$/, (on, [id]) => replications.get(on, Number(id))],
      ['GET', /^\/replication\/executions\/(\d+)\/tasks$/, (on, [id]) => replications.tasks(on, Number(id))],
      ['POST', /^\/system\/scanAll\/schedule$/, (on, _parts, body) => this.#scanAll(on, body)],
      ['GET', /^\/scans\/all\/metrics$/, (on) => this.#scanMetrics(on)],
    ];
  }

  async handle(on: Answering, path: string): Promise<void> {
    const route = this.#routes.find(([method, pattern]) => method === on.method && pattern.test(path));
    if (route === undefined) {
      refuse(on, 404, 'NOT_FOUND', `path ${path} was not found`);
      return;
    }
    const raw = on.method === 'POST' ? ((await readBody(on.request, BODY_LIMIT)) ?? Buffer.alloc(0)) : Buffer.alloc(0);
    let body: unknown;
    try {
      body = raw.length === 0 ? undefined : JSON.parse(raw.toString());
    } catch {
      refuse(on, 422, 'UNPROCESSABLE_ENTITY', 'parsing body failed');
      return;
    }
    Object.assign(on.exchange, { request: body });
    if (this.readOnly && on.method === 'POST') {
      refuse(on, 403, 'DENIED', 'The system is in read only mode. Any modification is prohibited.');
      return;
    }
    const parts = (route[1].exec(path) ?? []).slice(1).map((part) => decodeURIComponent(part));
    route[2](on, parts, body);
  }

  #systemInfo(on: Answering): void {
    const known = this.#doorkeeper.caller(on.request.headers.authorization).kind === 'account';
    const more = {
      harbor_version: 'v2.15.2-standin',
      read_only: this.readOnly,
      current_time: new Date().toISOString(),
    };
    answer(on, 200, { auth_mode: 'db_auth', ...(known ? more : {}) });
  }

  #listRobots(on: Answering): void {
    if (this.robots === undefined) return refuse(on, 403, 'FORBIDDEN', 'forbidden');
    answer(
      on,
      200,
      this.robots.map((robot, i) => ({ id: i + 1, level: 'system', editable: true, ...robot })),
    );
  }

  #headProject(on: Answering): void {
    const name = on.query.get('project_name') ?? '';
    if (name === '') return refuse(on, 400, 'BAD_REQUEST', 'project_name is required');
    if (this.#state.projects.has(name)) return answer(on, 200);
    refuse(on, 404, 'NOT_FOUND', `project ${name} not found`);
  }

  #createProject(on: Answering, body: unknown): void {
    const { project_name: name, metadata, storage_limit: limit } = (body ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || !PROJECT.test(name)) return refuse(on, 400, 'BAD_REQUEST', 'invalid project name');
    if (this.#state.projects.has(name)) return refuse(on, 409, 'CONFLICT', `The project named ${name} already exists`);
    const values = (metadata ?? {}) as Record<string, string>;
    const project = this.#state.addProject(
      name,
      { public: 'false', ...values },
      typeof limit === 'number' ? limit : -1,
    );
    answer(on, 201, undefined, { location: `/api/v2.0/projects/${project.id}` });
  }

  #find(on: Answering, parts: readonly string[]): { name: string; held: Repository; artifact: Artifact } | undefined {
    const [project = '', repository = '', reference = ''] = parts;
    if (!this.#state.projects.has(project)) {
      refuse(on, 404, 'NOT_FOUND', `project ${project} not found`);
      return undefined;
    }
    // The handler unescapes once more than the router: a slash in a repository arrives as %2F here.
    const name = `${project}/${decodeURIComponent(repository)}`;
    const held = this.#state.repositories.get(name);
    const digest = this.#state.resolve(name, reference);
    const artifact = digest === undefined ? undefined : held?.artifacts.get(digest);
    if (held !== undefined && artifact !== undefined) return { name, held, artifact };
    refuse(on, 404, 'NOT_FOUND', `artifact ${name}:${reference} not found`);
    return undefined;
  }

  #artifact(on: Answering, parts: string[]): void {
    const found = this.#find(on, parts);
    if (found === undefined) return;
    const { name, held, artifact } = found;
    const tags = [...held.tags]
      .filter(([, tag]) => tag.digest === artifact.digest)
      .map(([tag, { id, pushTime }]) => {
        const immutable = this.#state.isImmutable(name, tag);
        return { id, repository_id: held.id, artifact_id: artifact.id, name: tag, push_time: pushTime, immutable };
      });
    answer(on, 200, {
      id: artifact.id,
      type: 'IMAGE',
      media_type: artifact.artifactType,
      manifest_media_type: artifact.mediaType,
      artifact_type: artifact.artifactType,
      project_id: this.#state.project(name)?.id,
      repository_id: held.id,
      repository_name: name,
      digest: artifact.digest,
      size: artifact.blobs.reduce((sum, blob) => sum + (held.blobs.get(blob) ?? 0), artifact.size),
      push_time: artifact.pushTime,
      ...(on.query.get('with_tag') === 'true' && tags.length > 0 ? { tags } : {}),
      ...(on.query.get('with_accessory') === 'true' ? { accessories: accessories(name, held, artifact) } : {}),
    });
  }

  #createTag(on: Answering, parts: string[], body: unknown): void {
    const found = this.#find(on, parts);
    if (found === undefined) return;
    const tag = (body as { name?: unknown } | undefined)?.name;
    if (typeof tag !== 'string' || !/^\w[\w.-]{0,127}$/.test(tag))
      return refuse(on, 400, 'BAD_REQUEST', 'invalid tag name');
    if (found.held.tags.has(tag)) return refuse(on, 409, 'CONFLICT', `tag ${tag} already exists`);
    this.#state.setTag(found.name, tag, found.artifact.digest, false);
    answer(on, 201, undefined, { location: `/api/v2.0/tags/${tag}` });
  }

  #scan(on: Answering, parts: string[]): void {
    if (this.#find(on, parts) === undefined) return;
    this.scans += 1;
    answer(on, 202);
  }

  #scanAll(on: Answering, body: unknown): void {
    const type = (body as { schedule?: { type?: unknown } } | undefined)?.schedule?.type;
    if (type !== 'Manual') return refuse(on, 400, 'BAD_REQUEST', 'only a manual run is supported here');
    this.scans += this.#images();
    answer(on, 201, undefined, { location: '/api/v2.0/system/scanAll/schedule' });
  }

  #scanMetrics(on: Answering): void {
    const total = this.#images();
    answer(on, 200, { total, completed: total, ongoing: false, trigger: 'Manual', metrics: { Success: total } });
  }

  #images(): number {
    return [...this.#state.repositories.values()].reduce((sum, { artifacts }) => sum + artifacts.size, 0);
  }
}

/** What Harbor hangs on an artifact: referrers, and cosign's signature tag (`.sig` only, and only where it came by a push). */
function accessories(name: string, held: Repository, artifact: Artifact): unknown[] {
  const tag = held.tags.get(`${artifact.digest.replace(':', '-')}.sig`);
  const signed = tag?.pushed === true ? tag.digest : undefined;
  return [...held.artifacts.values()]
    .filter((other) => other.subject === artifact.digest || other.digest === signed)
    .map((other) => ({
      id: other.id,
      artifact_id: other.id,
      subject_artifact_id: artifact.id,
      subject_artifact_digest: artifact.digest,
      subject_artifact_repo: name,
      size: other.size,
      digest: other.digest,
      type: other.digest === signed || other.artifactType === BUNDLE ? 'signature.cosign' : 'subject.accessory',
      creation_time: other.pushTime,
    }));
}
