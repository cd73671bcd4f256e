import { answer, refuse, type Answering } from './exchange.ts';
import { globMatches, type Artifact, type Policy, type Repository, type State } from './state.ts';
import { copyBlob, createProject, isTagged, putManifest, readManifest, type Remote } from './remote.ts';

interface Task {
  readonly id: number;
  readonly repository: string;
  status: 'InProgress' | 'Succeed' | 'Failed';
  readonly start: string;
  end: string | undefined;
}
interface Execution {
  readonly id: number;
  readonly policy: Policy;
  readonly start: string;
  status: 'InProgress' | 'Succeed' | 'Failed';
  text: string;
  end: string | undefined;
  readonly tasks: Task[];
}

/** Replication policies and executions: copies for real, from the registry behind to the destination's /v2, one task per repository. */
export class Replications {
  readonly #state: State;
  readonly #upstream: string;
  readonly #executions: Execution[] = [];
  #gate: PromiseWithResolvers<undefined> | undefined;
  #failures = 0;

  constructor(state: State, upstream: string) {
    this.#state = state;
    this.#upstream = upstream;
  }

  /** Executions stay in progress until `release`. */
  hold(): void {
    this.#gate ??= Promise.withResolvers();
  }
  release(): void {
    this.#gate?.resolve(undefined);
    this.#gate = undefined;
  }
  /** The next executions fail. */
  failNext(times: number): void {
    this.#failures = times;
  }

  listPolicies(on: Answering): void {
    const [, wanted] = /^name=(.*)$/.exec(on.query.get('q') ?? '') ?? [];
    const policies = this.#state.policies.filter((policy) => wanted === undefined || policy.name === wanted);
    const body = policies.map((policy) => ({
      id: policy.id,
      name: policy.name,
      src_registry: { id: 0, name: 'Local', type: 'harbor', insecure: true, status: 'healthy' },
      dest_registry: { id: policy.id, name: policy.destination.name, url: policy.destination.url, type: 'harbor' },
      dest_namespace_replace_count: -1,
      trigger: { type: 'manual', trigger_settings: { cron: '' } },
      filters: policy.filters.map(({ type, value }) => ({ type, value })),
      override: policy.override,
      enabled: policy.enabled,
      replicate_deletion: false,
      single_active_replication: policy.singleActive,
    }));
    answer(on, 200, body, { 'x-total-count': body.length });
  }

  list(on: Answering): void {
    const id = on.query.get('policy_id');
    const status = on.query.get('status');
    const found = this.#executions
      .filter((execution) => id === null || execution.policy.id === Number(id))
      .filter((execution) => status === null || execution.status === status);
    answer(on, 200, found.map(executionBody), { 'x-total-count': found.length });
  }

  get(on: Answering, id: number): void {
    const execution = this.#executions.find((candidate) => candidate.id === id);
    if (execution === undefined) return refuse(on, 404, 'NOT_FOUND', `replication execution ${id} not found`);
    answer(on, 200, executionBody(execution));
  }

  tasks(on: Answering, id: number): void {
    const execution = this.#executions.find((candidate) => candidate.id === id);
    if (execution === undefined) return refuse(on, 404, 'NOT_FOUND', `replication execution ${id} not found`);
    const body = execution.tasks.map((task) => ({
      id: task.id,
      execution_id: id,
      status: task.status,
      operation: 'copy',
      resource_type: 'image',
      src_resource: task.repository,
      dst_resource: task.repository,
      start_time: task.start,
      ...(task.end === undefined ? {} : { end_time: task.end }),
    }));
    answer(on, 200, body, { 'x-total-count': body.length });
  }

  start(on: Answering, body: unknown): void {
    const id = (body as { policy_id?: unknown } | undefined)?.policy_id;
    const policy = this.#state.policies.find((candidate) => candidate.id === id);
    if (policy === undefined) return refuse(on, 404, 'NOT_FOUND', `the replication policy ${String(id)} not found`);
    if (!policy.enabled) return refuse(on, 412, 'PRECONDITION', `the policy ${policy.id} is disabled`);
    const active = this.#executions.some((other) => other.policy === policy && other.status === 'InProgress');
    const start = new Date().toISOString();
    const execution: Execution = {
      id: this.#state.nextId(),
      policy,
      start,
      status: 'InProgress',
      text: '',
      end: undefined,
      tasks: [],
    };
    this.#executions.push(execution);
    if (active && policy.singleActive) {
      Object.assign(execution, {
        status: 'Failed',
        end: start,
        text: 'Execution skipped: active replication still in progress.',
      });
    } else void this.#run(execution);
    answer(on, 201, undefined, { location: `/api/v2.0/replication/executions/${execution.id}` });
  }

  async #run(execution: Execution): Promise<void> {
    const { filters } = execution.policy;
    const names = filters.filter((filter) => filter.type === 'name').map((filter) => filter.value);
    const repositories = [...this.#state.repositories].filter(
      ([name, held]) => held.artifacts.size > 0 && names.every((value) => globMatches(value, name)),
    );
    for (const [repository] of repositories) {
      const start = new Date().toISOString();
      execution.tasks.push({ id: this.#state.nextId(), repository, status: 'InProgress', start, end: undefined });
    }
    await this.#gate?.promise;
    const failing = this.#failures > 0;
    if (failing) this.#failures -= 1;
    for (const task of execution.tasks) {
      try {
        if (failing) throw new Error('failure on order');
        await this.#copy(execution.policy, task.repository);
        task.status = 'Succeed';
      } catch (error) {
        task.status = 'Failed';
        execution.text ||= (error as Error).message;
      }
      task.end = new Date().toISOString();
    }
    if (execution.tasks.length === 0) execution.text = 'no resources need to be replicated';
    execution.status = execution.tasks.some((task) => task.status === 'Failed') ? 'Failed' : 'Succeed';
    execution.end = new Date().toISOString();
  }

  async #copy(policy: Policy, repository: string): Promise<void> {
    const held = this.#state.repository(repository);
    const source: Remote = { url: this.#upstream };
    const target: Remote = policy.destination;
    await createProject(target, repository.split('/')[0] ?? '');
    const chosen = select(policy, held);
    // In the order they were pushed here: children before their index, subjects before their referrers.
    for (const artifact of [...chosen].sort((a, b) => a.id - b.id)) {
      for (const blob of artifact.blobs) await copyBlob(source, target, repository, blob);
      const bytes = await readManifest(source, repository, artifact.digest, artifact.mediaType);
      await putManifest(target, repository, artifact.digest, artifact.mediaType, bytes);
    }
    for (const [tag, { digest }] of held.tags) {
      const artifact = chosen.find((candidate) => candidate.digest === digest);
      if (artifact === undefined || (!policy.override && (await isTagged(target, repository, tag)))) continue;
      if ((await isTagged(target, repository, tag)) === digest) continue;
      const bytes = await readManifest(source, repository, digest, artifact.mediaType);
      await putManifest(target, repository, tag, artifact.mediaType, bytes);
    }
  }
}

/** Artifacts a policy names: by tag filter, with children and accessories of what it names; everything without a tag filter. */
function select(policy: Policy, held: Repository): Artifact[] {
  const patterns = policy.filters.filter((filter) => filter.type === 'tag').map((filter) => filter.value);
  if (patterns.length === 0) return [...held.artifacts.values()];
  const chosen = new Set<string>();
  const add = (digest: string): void => {
    const artifact = held.artifacts.get(digest);
    if (artifact === undefined || chosen.has(digest)) return;
    chosen.add(digest);
    for (const child of artifact.children) add(child);
    for (const other of held.artifacts.values()) if (other.subject === digest) add(other.digest);
    const signature = held.tags.get(`${digest.replace(':', '-')}.sig`);
    if (signature !== undefined) add(signature.digest);
  };
  for (const [tag, { digest }] of held.tags) if (patterns.every((pattern) => globMatches(pattern, tag))) add(digest);
  return [...held.artifacts.values()].filter((artifact) => chosen.has(artifact.digest));
}

function executionBody(execution: Execution): unknown {
  const count = (status: string): number => execution.tasks.filter((task) => task.status === status).length;
  return {
    id: execution.id,
    policy_id: execution.policy.id,
    status: execution.status,
    status_text: execution.text,
    trigger: 'manual',
    start_time: execution.start,
    ...(execution.end === undefined ? {} : { end_time: execution.end }),
    total: execution.tasks.length,
    failed: count('Failed'),
    succeed: count('Succeed'),
    in_progress: count('InProgress'),
    stopped: 0,
  };
}
