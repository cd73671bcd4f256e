import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import type { Exchange } from './exchange.ts';

interface Operation {
  readonly query: readonly string[];
  readonly body?: { readonly required: boolean; readonly schema: object };
  readonly responses: Readonly<Record<string, { readonly schema?: object }>>;
}
interface Description {
  readonly basePath: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly definitions: Readonly<Record<string, object>>;
}

/** Answers seen in Harbor's source that its description leaves out. */
const UNDOCUMENTED = new Set([
  'post /replication/executions 412',
  'post /replication/executions 404',
  'post /projects 403',
  'get /robots 403',
  'get /ping 500',
]);

/** Swagger 2 as JSON schema: `x-nullable`, and no property but those described (a misspelt one would pass otherwise). */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const made: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) if (!key.startsWith('x-')) made[key] = closed(value);
  if ((schema as { 'x-nullable'?: unknown })['x-nullable'] === true) made.nullable = true;
  if (made.properties !== undefined && typeof made.properties === 'object') made.additionalProperties ??= false;
  return made;
}

const description = JSON.parse(readFileSync(new URL('./harbor-api.json', import.meta.url), 'utf8')) as Description;
const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
for (const name of ['int64', 'int32', 'int8', 'int']) ajv.addFormat(name, true);
ajv.addSchema({ $id: 'harbor', definitions: closed(description.definitions) });

const compiled = new Map<object, ValidateFunction>();
function faults(schema: object, value: unknown): string[] {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    const text = JSON.stringify(closed(schema)).replaceAll('"#/definitions/', '"harbor#/definitions/');
    validate = ajv.compile(JSON.parse(text) as object);
    compiled.set(schema, validate);
  }
  return validate(value) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
}

function operationOf(
  method: string,
  path: string,
): { readonly name: string; readonly operation: Operation } | undefined {
  for (const [template, operations] of Object.entries(description.paths)) {
    const pattern = new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`);
    const operation = operations[method.toLowerCase()];
    if (pattern.test(path) && operation !== undefined)
      return { name: `${method.toLowerCase()} ${template}`, operation };
  }
  return undefined;
}

/** What is wrong with one exchange on /api by Harbor's published description; empty when nothing is. */
export function faultsOf(exchange: Exchange): string[] {
  const url = new URL(exchange.path, 'http://harbor');
  const found = operationOf(exchange.method, url.pathname.slice(description.basePath.length));
  if (found === undefined) return [`${exchange.method} ${url.pathname} is not in the description`];
  const { name, operation } = found;
  const wrong = [...url.searchParams.keys()]
    .filter((key) => !operation.query.includes(key))
    .map((key) => `query parameter ${key}`);
  if (
    exchange.status < 400 &&
    operation.body !== undefined &&
    (exchange.request !== undefined || operation.body.required)
  ) {
    wrong.push(...faults(operation.body.schema, exchange.request).map((text) => `request ${text}`));
  }
  const response = operation.responses[String(exchange.status)];
  const known = response !== undefined || UNDOCUMENTED.has(`${name} ${exchange.status}`);
  if (!known && exchange.status < 500) wrong.push(`status ${exchange.status}`);
  if (response?.schema !== undefined && exchange.method !== 'HEAD') {
    wrong.push(...faults(response.schema, exchange.answer).map((text) => `answer ${text}`));
  }
  return wrong.map((text) => `${name}: ${text}`);
}
