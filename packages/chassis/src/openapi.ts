import type { Filters } from './paging.ts';
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from './paging.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What the daemon answers, as JSON Schema (2020-12). */
export interface ApiSchemas {
  readonly status: JsonSchema;
  /** One item of /v1/bundles. */
  readonly bundle?: JsonSchema;
  /** /v1/bundles/ID. */
  readonly story?: JsonSchema;
}

export const text = (description?: string): JsonSchema => ({ type: 'string', ...(description && { description }) });
export const count = (description?: string): JsonSchema => ({
  type: 'integer',
  minimum: 0,
  ...(description && { description }),
});
export const number: JsonSchema = { type: 'number' };
export const digest: JsonSchema = { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' };
export const time: JsonSchema = { type: 'string', format: 'date-time' };
export const oneOf = (values: readonly string[]): JsonSchema => ({ type: 'string', enum: values });
export const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
export const orNull = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] });
/** Numbers by name. */
export const numbers: JsonSchema = { type: 'object', additionalProperties: number };

/** An object with these keys and no others; those of `some` may be missing. */
export const record = (
  all: Readonly<Record<string, JsonSchema>>,
  some: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema => ({
  type: 'object',
  properties: { ...all, ...some },
  required: Object.keys(all),
  additionalProperties: false,
});

const level = oneOf(['good', 'busy', 'warn', 'bad', 'unknown']);
const fact = record({ name: text(), value: text() }, { level });
const check = record(
  { status: oneOf(['pass', 'warn', 'fail']), time },
  {
    observedValue: { type: ['number', 'string', 'boolean'] },
    observedUnit: text(),
    threshold: { type: ['number', 'string'] },
    output: text('why it does not pass, and what to do'),
  },
);
export const healthSchema = record(
  {
    status: oneOf(['pass', 'warn', 'fail']),
    description: text(),
    checks: { type: 'object', additionalProperties: { type: 'array', items: check, minItems: 1, maxItems: 1 } },
  },
  { version: text(), output: text() },
);
const problem = record({ status: count(), title: text(), detail: text() });
export const eventSchema = record({
  seq: count('number in the ledger; an event stream goes on after it'),
  time,
  kind: text(),
  subject: text('what it is about: a bundle, mostly'),
  body: { type: 'object' },
  hash: text('SHA-256 of this entry, which covers the one before'),
});
export const overviewSchema = record(
  {
    side: oneOf(['sender', 'receiver']),
    time,
    uptimeSeconds: number,
    link: record({ level, state: text(), detail: text() }),
    channels: list(record({ name: text(), level, state: text() })),
    rates: record(
      { stepSeconds: number, unit: oneOf(['bit/s', 'datagrams/s']), carried: list(number), lost: list(number) },
      { lostShare: number },
    ),
    flight: list(
      record(
        {
          bundle: digest,
          channel: text(),
          sequence: count(),
          name: text(),
          state: text(),
          totalBytes: count(),
        },
        { doneBytes: count(), etaSeconds: number },
      ),
    ),
    flightMore: count(),
    missing: list(record({ channel: text(), sequences: text(), names: list(text()), count: count(), command: text() })),
    queue: list(fact),
    recent: list(
      record({
        bundle: digest,
        channel: text(),
        sequence: count(),
        name: text(),
        level,
        state: text(),
        time,
      }),
    ),
    refusals: list(record({ time, what: text(), code: text(), detail: text() })),
    health: healthSchema,
    far: record({ level, state: text(), facts: list(fact) }),
  },
  {
    canary: record({ level, age: text('of the latest bundle that went the whole way by itself'), detail: text() }),
    margin: record({ level, state: text(), buckets: list(record({ label: text(), count: count() })) }),
  },
);

const json = (schema: JsonSchema, type = 'application/json') => ({ content: { [type]: { schema } } });
const refused = (...codes: number[]) =>
  Object.fromEntries(
    codes.map((code) => [String(code), { description: 'refused', ...json(problem, 'application/problem+json') }]),
  );
const health = (about: string) => ({
  get: {
    summary: about,
    responses: {
      '200': { description: 'yes, perhaps with warnings', ...json(healthSchema, 'application/health+json') },
      '503': { description: 'no', ...json(healthSchema, 'application/health+json') },
    },
  },
});
const answer = (about: string, schema: JsonSchema, more: object = {}, ...codes: number[]) => ({
  get: { summary: about, ...more, responses: { '200': { description: 'OK', ...json(schema) }, ...refused(...codes) } },
});
const query = (name: string, schema: JsonSchema) => ({ name, in: 'query', required: false, schema });

export interface ApiOptions {
  readonly title: string;
  readonly schemas: ApiSchemas;
  readonly filters: Filters;
  /** Has /v1/events and /v1/overview. */
  readonly events: boolean;
}

/** The OpenAPI 3.1 document of a daemon's read-only port. */
export function openApi({ title, schemas, filters, events }: ApiOptions): JsonSchema {
  const { status, bundle, story } = schemas;
  const parameters = [
    query('limit', { type: 'integer', minimum: 1, maximum: PAGE_LIMIT_MAX, default: PAGE_LIMIT_DEFAULT }),
    query('cursor', text('the `next` of the page before')),
    ...Object.entries(filters).map(([name, values]) => query(name, oneOf(values))),
  ];
  const id = { name: 'id', in: 'path', required: true, schema: digest };
  return {
    openapi: '3.1.0',
    info: { title, version: '1', description: 'Read-only. Text in answers may come from outside: show it as text.' },
    paths: {
      '/livez': health('Must the process be restarted?'),
      '/readyz': health('Can it work?'),
      '/healthz': health('How is everything, and why?'),
      '/metrics': {
        get: { summary: 'Prometheus', responses: { '200': { description: 'OK', content: { 'text/plain': {} } } } },
      },
      '/v1/status': answer('What the daemon is at, in numbers', status),
      ...(events && {
        '/v1/overview': answer('What the status page shows', overviewSchema),
        '/v1/events': {
          get: {
            summary: 'Server-sent events: `entry` for each entry of the ledger, `overview` every second',
            parameters: [query('after', count('goes on after this entry; the header Last-Event-ID does the same'))],
            responses: { '200': { description: 'OK', content: { 'text/event-stream': {} } }, ...refused(400, 503) },
          },
        },
      }),
      ...(bundle && {
        '/v1/bundles': answer(
          'Bundles, newest first',
          record({ items: list(bundle) }, { next: text('cursor of the next page; none on the last') }),
          { parameters },
          400,
        ),
      }),
      ...(story && {
        '/v1/bundles/{id}': answer('All that is known of one bundle', story, { parameters: [id] }, 404),
      }),
    },
  };
}
