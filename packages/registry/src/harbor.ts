import { isDigest, type Digest } from '@sluice/ports';
import { openAuthorized, type Authorized, type AuthorizedOptions } from './auth.ts';
import { failure } from './classify.ts';
import { printable, RegistryError } from './errors.ts';
import type { Answer, Ask } from './http.ts';

const BASE = '/api/v2.0';
const PAGE_SIZE = 100;

export interface HarborArtifact {
  readonly digest: Digest;
  readonly size: number;
  readonly tags: readonly { readonly name: string; readonly immutable: boolean }[];
  readonly accessories: readonly { readonly digest: Digest; readonly type: string }[];
}

export interface ReplicationExecution {
  readonly id: number;
  /** Harbor's words: InProgress, Succeed, Failed, Stopped. */
  readonly status: string;
  readonly statusText: string;
  readonly total: number;
  readonly failed: number;
}

export interface ReplicationTask {
  readonly status: string;
  readonly source: string;
  readonly destination: string;
}

/** Client of Harbor's API v2.0, the operations the import needs. Every method throws RegistryError. */
export interface Harbor {
  readonly origin: string;
  /** Harbor's version (undefined without the right to see it) and whether it is read-only. */
  systemInfo(): Promise<{ readonly version: string | undefined; readonly readOnly: boolean }>;
  projectExists(project: string): Promise<boolean>;
  /** Creates the project; one that exists already is a success. Metadata values are strings, as Harbor has them. */
  createProject(project: string, metadata: Readonly<Record<string, string>>): Promise<void>;
  /** Artifact by digest or tag, with tags and accessories; undefined when absent. `repository` is `project/path`. */
  artifact(repository: string, reference: string): Promise<HarborArtifact | undefined>;
  /** Puts a tag on an artifact; `exists` when some artifact of the repository has that tag already. */
  createTag(repository: string, digest: Digest, tag: string): Promise<'created' | 'exists'>;
  /** Id of a replication policy by its exact name. */
  replicationPolicy(name: string): Promise<number>;
  /** Starts one execution and resolves to its id. */
  startReplication(policyId: number): Promise<number>;
  replicationExecution(id: number): Promise<ReplicationExecution>;
  replicationTasks(id: number): Promise<readonly ReplicationTask[]>;
  close(): void;
}

/** `project/path` cut at the first slash; throws an assertion on a name without one (the policy has checked repositories before). */
export function splitRepository(repository: string): { readonly project: string; readonly path: string } {
  const slash = repository.indexOf('/');
  if (slash < 1 || slash === repository.length - 1)
    throw new Error(`repository without project: ${printable(repository)}`);
  return { project: repository.slice(0, slash), path: repository.slice(slash + 1) };
}

/** Harbor unescapes the repository once in its router and once in its handler: a slash is `%252F`. */
const twice = (text: string): string => encodeURIComponent(encodeURIComponent(text));

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const count = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0);
const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {};
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

class HarborClient implements Harbor {
  readonly origin: string;
  readonly #http: Authorized;

  constructor(options: AuthorizedOptions) {
    this.#http = openAuthorized(options);
    this.origin = this.#http.origin;
  }

  async systemInfo(): Promise<{ readonly version: string | undefined; readonly readOnly: boolean }> {
    const answer = await this.#ask('GET', '/systeminfo');
    const info = record(this.#json(answer, 200, 'asking Harbor about itself'));
    const version = text(info.harbor_version);
    return { version: version === '' ? undefined : printable(version, 64), readOnly: info.read_only === true };
  }

  async projectExists(project: string): Promise<boolean> {
    const answer = await this.#ask('HEAD', `/projects?project_name=${encodeURIComponent(project)}`);
    if (answer.status === 200) return true;
    if (answer.status === 404) return false;
    throw failure(answer, `looking for project ${project}`);
  }

  async createProject(project: string, metadata: Readonly<Record<string, string>>): Promise<void> {
    const answer = await this.#ask('POST', '/projects', { project_name: project, metadata });
    if (answer.status !== 201 && answer.status !== 409) throw failure(answer, `creating project ${project}`);
  }

  async artifact(repository: string, reference: string): Promise<HarborArtifact | undefined> {
    const query = 'with_tag=true&with_accessory=true&with_immutable_status=true';
    const answer = await this.#ask('GET', `${artifactPath(repository, reference)}?${query}`);
    if (answer.status === 404) return undefined;
    const what = `reading artifact ${printable(reference)} of ${repository}`;
    const artifact = record(this.#json(answer, 200, what));
    const digest = artifact.digest;
    if (!isDigest(digest)) throw malformed(answer, what);
    const tags = list(artifact.tags).map((entry) => {
      const tag = record(entry);
      return { name: text(tag.name), immutable: tag.immutable === true };
    });
    const accessories = list(artifact.accessories).flatMap((entry) => {
      const accessory = record(entry);
      return isDigest(accessory.digest) ? [{ digest: accessory.digest, type: text(accessory.type) }] : [];
    });
    return { digest, size: count(artifact.size), tags, accessories };
  }

  async createTag(repository: string, digest: Digest, tag: string): Promise<'created' | 'exists'> {
    const answer = await this.#ask('POST', `${artifactPath(repository, digest)}/tags`, { name: tag });
    if (answer.status === 201) return 'created';
    if (answer.status === 409) return 'exists';
    throw failure(answer, `tagging ${repository}@${digest} as ${printable(tag)}`);
  }

  async replicationPolicy(name: string): Promise<number> {
    const query = `q=${encodeURIComponent(`name=${name}`)}&page=1&page_size=${PAGE_SIZE}`;
    const answer = await this.#ask('GET', `/replication/policies?${query}`);
    const policies = list(this.#json(answer, 200, `looking for replication policy ${printable(name)}`)).map(record);
    const policy = policies.find((entry) => entry.name === name);
    if (policy === undefined || !Number.isSafeInteger(policy.id)) {
      const text = `Harbor at ${this.origin} has no replication policy ${printable(name)}; create it or mend the configuration`;
      throw new RegistryError('replication-policy-missing', text, { requestId: answer.requestId });
    }
    return count(policy.id);
  }

  async startReplication(policyId: number): Promise<number> {
    const answer = await this.#ask('POST', '/replication/executions', { policy_id: policyId });
    if (answer.status === 412) {
      const text = `replication policy ${policyId} is disabled in Harbor; enable it (request ${answer.requestId})`;
      throw new RegistryError('replication-policy-disabled', text, { status: 412, requestId: answer.requestId });
    }
    if (answer.status !== 201) throw failure(answer, `starting replication policy ${policyId}`);
    const id = /\/replication\/executions\/(\d{1,15})$/.exec(answer.headers.location ?? '')?.[1];
    if (id === undefined) throw malformed(answer, `starting replication policy ${policyId}`);
    return Number(id);
  }

  async replicationExecution(id: number): Promise<ReplicationExecution> {
    const answer = await this.#ask('GET', `/replication/executions/${id}`);
    const execution = record(this.#json(answer, 200, `reading replication execution ${id}`));
    return {
      id,
      status: text(execution.status),
      statusText: printable(text(execution.status_text)),
      total: count(execution.total),
      failed: count(execution.failed),
    };
  }

  async replicationTasks(id: number): Promise<readonly ReplicationTask[]> {
    const answer = await this.#ask('GET', `/replication/executions/${id}/tasks?page=1&page_size=${PAGE_SIZE}`);
    return list(this.#json(answer, 200, `reading the tasks of replication execution ${id}`)).map((entry) => {
      const task = record(entry);
      const resource = (key: string): string => printable(text(task[key]));
      return { status: text(task.status), source: resource('src_resource'), destination: resource('dst_resource') };
    });
  }

  close(): void {
    this.#http.close();
  }

  /** Numeric-looking project names are names here, never ids. */
  #ask(method: Ask['method'], path: string, body?: unknown): Promise<Answer> {
    const headers = { accept: 'application/json', 'x-is-resource-name': 'true' };
    const ask: Ask = { method, path: `${BASE}${path}`, headers };
    if (body === undefined) return this.#http.ask(ask);
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    return this.#http.ask({ ...ask, headers: { ...headers, 'content-type': 'application/json' }, body: bytes });
  }

  #json(answer: Answer, status: number, what: string): unknown {
    if (answer.status !== status) throw failure(answer, what);
    try {
      return JSON.parse(answer.body.toString('utf8'));
    } catch (cause) {
      throw malformed(answer, what, cause);
    }
  }
}

function malformed(answer: Answer, what: string, cause?: unknown): RegistryError {
  const text = `${what} got an answer that is not Harbor's; check the url and the proxy before it (request ${answer.requestId})`;
  return new RegistryError('registry-answer-malformed', text, {
    status: answer.status,
    requestId: answer.requestId,
    ...(cause === undefined ? {} : { cause }),
  });
}

function artifactPath(repository: string, reference: string): string {
  const { project, path } = splitRepository(repository);
  return `/projects/${encodeURIComponent(project)}/repositories/${twice(path)}/artifacts/${encodeURIComponent(reference)}`;
}

export const openHarbor = (options: AuthorizedOptions): Harbor => new HarborClient(options);
