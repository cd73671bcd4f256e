import { setTimeout as delay } from 'node:timers/promises';
import { RegistryError } from './errors.ts';
import type { Harbor, ReplicationExecution } from './harbor.ts';

export interface ReplicateOptions {
  /** Time between two looks at a running execution. */
  readonly pollMs?: number;
  /** Longest wait for one policy, waiting for another run of it included. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (execution: ReplicationExecution) => void;
}

export const REPLICATION_POLL_MS = 1000;
export const REPLICATION_DEADLINE_MS = 6 * 3600 * 1000;
const NAMED_TASKS = 3;

/** Harbor accepts the start while another run of the policy is active, and only the execution's text says it did nothing. */
const wasSkipped = (execution: ReplicationExecution): boolean =>
  execution.status !== 'Succeed' && /active replication/i.test(execution.statusText);

const isRunning = (execution: ReplicationExecution): boolean =>
  !['Succeed', 'Failed', 'Stopped'].includes(execution.status);

/**
 * Runs one replication policy and waits for its end. A run skipped because another is active is started again; a success that
 * matched nothing is an error (a filter with a typo looks like that). Throws RegistryError `replication-failed`,
 * `replication-empty`, `replication-timeout`, `replication-policy-missing`, `replication-policy-disabled`.
 */
export async function replicate(
  harbor: Harbor,
  policy: string,
  options: ReplicateOptions = {},
): Promise<ReplicationExecution> {
  const pollMs = options.pollMs ?? REPLICATION_POLL_MS;
  const until = performance.now() + (options.deadlineMs ?? REPLICATION_DEADLINE_MS);
  const policyId = await harbor.replicationPolicy(policy);
  for (;;) {
    const execution = await follow(harbor, policy, await harbor.startReplication(policyId), {
      ...options,
      pollMs,
      until,
    });
    if (!wasSkipped(execution)) return finished(harbor, policy, execution);
    checkTime(until, policy);
    await delay(pollMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

async function follow(
  harbor: Harbor,
  policy: string,
  id: number,
  options: ReplicateOptions & { readonly pollMs: number; readonly until: number },
): Promise<ReplicationExecution> {
  for (;;) {
    const execution = await harbor.replicationExecution(id);
    options.onProgress?.(execution);
    if (!isRunning(execution)) return execution;
    checkTime(options.until, policy);
    await delay(options.pollMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

function checkTime(until: number, policy: string): void {
  if (performance.now() < until) return;
  throw new RegistryError(
    'replication-timeout',
    `replication policy ${policy} did not end in time; look at its execution in Harbor`,
  );
}

async function finished(
  harbor: Harbor,
  policy: string,
  execution: ReplicationExecution,
): Promise<ReplicationExecution> {
  if (execution.status === 'Succeed' && execution.failed === 0) {
    if (execution.total > 0) return execution;
    const text = `replication policy ${policy} matched nothing; check its name and tag filters in Harbor`;
    throw new RegistryError('replication-empty', text);
  }
  const tasks = await harbor.replicationTasks(execution.id);
  const bad = tasks.filter((task) => task.status === 'Failed').slice(0, NAMED_TASKS);
  const named = bad.map((task) => task.source).join(', ');
  const which = named === '' ? '' : ` for ${named}`;
  const text = `execution ${execution.id} of replication policy ${policy} ended ${execution.status}${which}; see its task log in Harbor`;
  throw new RegistryError('replication-failed', text);
}
