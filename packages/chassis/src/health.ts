import { oneLine, systemClock, type Clock } from '@sluice/base';

export type HealthStatus = 'pass' | 'warn' | 'fail';

/** What a check found. */
export interface CheckResult {
  readonly status: HealthStatus;
  readonly observedValue?: number | string | boolean | undefined;
  readonly observedUnit?: string | undefined;
  /** The limit that the observed value is held against, in the same unit. */
  readonly threshold?: number | string | undefined;
  /** Why it is not `pass`, and what to do. */
  readonly output?: string | undefined;
}

export interface HealthCheck {
  /** `component:measurement`, as in the health+json draft. */
  readonly name: string;
  /**
   * Which question a `fail` answers with no: `live` (restart me), `ready` (send me no work); default neither: it shows
   * in /healthz only. A `live` check counts for readiness too.
   */
  readonly gates?: 'live' | 'ready';
  /** Must be cheap: it runs on every request. A throw is a `fail` with the error's message. */
  readonly check: () => CheckResult | Promise<CheckResult>;
}

/** The body of application/health+json (draft-inadarei-api-health-check), with `threshold` beside each observed value. */
export interface HealthReport {
  readonly status: HealthStatus;
  readonly description: string;
  readonly version?: string;
  readonly output?: string;
  readonly checks: Readonly<Record<string, readonly [CheckResult & { readonly time: string }]>>;
}

export interface Health {
  /** Adds a check; its name must be new. Gives back how to remove it. */
  add(check: HealthCheck): () => void;
  live(): Promise<HealthReport>;
  ready(): Promise<HealthReport>;
  report(): Promise<HealthReport>;
}

export const HEALTH_TYPE = 'application/health+json';
/** A check that has not answered by then counts as failed. */
export const CHECK_TIMEOUT_MS = 2000;
const CHECKS_MAX = 256;
const NAME = /^[a-z][a-zA-Z0-9-]*(:[a-z][a-zA-Z0-9.-]*)?$/;
/** How bad each status is; /metrics tells these numbers. */
export const RANK: Readonly<Record<HealthStatus, number>> = { pass: 0, warn: 1, fail: 2 };

export interface HealthOptions {
  /** What this service is, in a few words. */
  readonly description: string;
  readonly version?: string;
  readonly clock?: Clock;
}

/** The checks of one process, and the answers made of them. */
export function createHealth(options: HealthOptions): Health {
  const { description, version, clock = systemClock } = options;
  const checks = new Map<string, HealthCheck>();

  const ask = async (chosen: readonly HealthCheck[]): Promise<HealthReport> => {
    const time = new Date(clock.wallSeconds() * 1000).toISOString();
    const results = await Promise.all(chosen.map(async (check) => [check.name, await runCheck(check)] as const));
    const statuses = results.map(([, result]) => result.status);
    const status = statuses.reduce((worst, each) => (RANK[each] > RANK[worst] ? each : worst), 'pass');
    const bad = results.filter(([, result]) => result.status === status && status !== 'pass');
    return {
      status,
      description,
      ...(version === undefined ? {} : { version }),
      ...(bad.length === 0 ? {} : { output: bad.map(([name, { output = '' }]) => `${name}: ${output}`).join('; ') }),
      checks: Object.fromEntries(results.map(([name, result]) => [name, [{ ...result, time }]] as const)),
    };
  };
  const gating = (...gates: HealthCheck['gates'][]): HealthCheck[] =>
    [...checks.values()].filter((check) => check.gates !== undefined && gates.includes(check.gates));

  return {
    add: (check) => {
      if (!NAME.test(check.name) || checks.has(check.name))
        throw new Error(`health check ${check.name}: bad or taken name`);
      if (checks.size >= CHECKS_MAX) throw new Error(`more than ${String(CHECKS_MAX)} health checks`);
      checks.set(check.name, check);
      return () => {
        checks.delete(check.name);
      };
    },
    live: () => ask(gating('live')),
    ready: () => ask(gating('live', 'ready')),
    report: () => ask([...checks.values()]),
  };
}

async function runCheck({ check }: HealthCheck): Promise<CheckResult> {
  const timeout = Promise.withResolvers<CheckResult>();
  const timer = setTimeout(() => {
    timeout.resolve({ status: 'fail', output: `the check did not answer within ${String(CHECK_TIMEOUT_MS)} ms` });
  }, CHECK_TIMEOUT_MS);
  try {
    const result = await Promise.race([check(), timeout.promise]);
    return result.output === undefined ? result : { ...result, output: oneLine(result.output) };
  } catch (error) {
    return { status: 'fail', output: oneLine(error instanceof Error ? error.message : String(error)) };
  } finally {
    clearTimeout(timer);
  }
}
