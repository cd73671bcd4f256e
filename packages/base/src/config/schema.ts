import { OperationalError } from '@sluice/ports';
import { suggestion } from './suggest.ts';
import { refuseAt, shown, within, type Place } from './place.ts';

/** One line of a configuration reference. */
export interface Row {
  /** Key path with `[]` for array items and `NAME` for the keys of a record. */
  readonly key: string;
  readonly type: string;
  readonly about: string;
  /** `required`, `optional`, or the default as it would stand in the file. */
  readonly presence: string;
}

/** A part of a JSON Schema (2020-12): what editors know of a value. The daemon's own check says more. */
export type JsonSchemaPart = Readonly<Record<string, unknown>>;

/** Checks one value of a configuration and gives it its type. */
export interface Schema<T> {
  readonly about: string;
  /** What may stand there, in words: `integer, 1 to 65535`. */
  readonly type: string;
  readonly presence: string;
  /** What a missing key becomes; throws for a required one. */
  absent(at: Place): T | undefined;
  /** @throws OperationalError of a ConfigCode with one sentence that names file, key and fix. */
  parse(value: unknown, at: Place): T;
  /** The rows below this one. */
  rows(key: string): Row[];
  /** The same as a JSON Schema. */
  json(): JsonSchemaPart;
}

/** A schema whose key may be missing from the typed result too. */
export interface OptionalSchema<T> extends Schema<T> {
  readonly optional: true;
}

/** The type that a schema yields. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown>>>;
type OptionalKey<F extends Fields> = { [K in keyof F]: F[K] extends OptionalSchema<unknown> ? K : never }[keyof F];
/** The object that `fields` describe. */
export type ObjectOf<F extends Fields> = Readonly<
  { [K in Exclude<keyof F, OptionalKey<F>>]: Infer<F[K]> } & { [K in OptionalKey<F>]?: Infer<F[K]> }
>;

/** A required value without inner rows. */
export function leaf<T>(
  about: string,
  type: string,
  parse: (value: unknown, at: Place) => T,
  json: JsonSchemaPart,
): Schema<T> {
  return {
    ...{ about, type, presence: 'required', parse },
    absent: (at) => refuseMissing(at, type),
    rows: () => [],
    json: () => ({ description: about, ...json }),
  };
}

const refuseMissing = (at: Place, type: string): never => refuseAt(at, `is missing; add it (${type}).`);

/** The key may be left out; the result then has no such key. */
export const optional = <T>(schema: Schema<T>): OptionalSchema<T> => ({
  ...schema,
  optional: true,
  presence: 'optional',
  absent: () => undefined,
});

/** The key may be left out; `value` (as it would stand in the file) then takes its place. */
export function withDefault<T>(schema: Schema<T>, value: unknown): Schema<T> {
  // A default that its own schema refuses is our mistake: every process that has it ends here, not the one that leaves the key out.
  schema.parse(value, { file: 'a default', key: schema.about, directory: '/', credentials: undefined });
  return {
    ...schema,
    presence: `\`${JSON.stringify(value)}\``,
    absent: (at) => schema.parse(value, at),
    json: () => ({ ...schema.json(), default: value }),
  };
}

/** Adds a check over the parsed value: `fault` gives what is wrong and the fix, or undefined. */
export const checked = <T>(schema: Schema<T>, fault: (value: T) => string | undefined): Schema<T> => ({
  ...schema,
  parse: (value, at) => {
    const parsed = schema.parse(value, at);
    const what = fault(parsed);
    return what === undefined ? parsed : refuseAt(at, what);
  },
});

/** For `checked`: what `parse` finds wrong, as the sentence of its OperationalError. Another error is a mistake of ours and goes on. */
export function faultOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    return error.message.replace(/\.?$/, '.');
  }
}

/** For `checked`: items of which no two may have the same `of`; undefined is no value. */
export const noTwins =
  <T>(what: string, of: (item: T) => unknown) =>
  (items: readonly T[]): string | undefined => {
    const values = items.map(of).filter((value) => value !== undefined);
    const twin = values.find((value, index) => values.indexOf(value) !== index);
    return twin === undefined ? undefined : `have the ${what} ${shown(twin)} twice; give each its own.`;
  };

function requireObject(value: unknown, at: Place): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuseAt(at, `must be an object but is ${shown(value)}; write { ... }.`);
  }
  return value as Record<string, unknown>;
}

/** An object with exactly these keys. */
export function object<F extends Fields>(about: string, fields: F): Schema<ObjectOf<F>> {
  const parse = (value: unknown, at: Place): ObjectOf<F> => {
    const source = requireObject(value, at);
    for (const key of Object.keys(source)) if (!Object.hasOwn(fields, key)) refuseUnknown(key, Object.keys(fields), at);
    const entries = Object.entries(fields).flatMap(([key, schema]): [string, unknown][] => {
      const place = within(at, key);
      const parsed = Object.hasOwn(source, key) ? schema.parse(source[key], place) : schema.absent(place);
      return parsed === undefined ? [] : [[key, parsed]];
    });
    return Object.fromEntries(entries) as ObjectOf<F>;
  };
  const rows = (key: string): Row[] =>
    Object.entries(fields).flatMap(([name, schema]) => rowsOf(joined(key, name), schema));
  const json = (): JsonSchemaPart => ({
    ...{ description: about, type: 'object' },
    properties: Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, schema.json()])),
    required: Object.entries(fields).flatMap(([name, { presence }]) => (presence === 'required' ? [name] : [])),
    additionalProperties: false,
  });
  return { ...leaf(about, 'object', parse, {}), rows, json };
}

function refuseUnknown(key: string, known: readonly string[], at: Place): never {
  const near = suggestion(key, known);
  const fix = near === undefined ? `remove it or use one of ${known.join(', ')}` : `did you mean "${near}"?`;
  return refuseAt(within(at, key), `is not a known key; ${fix}${near === undefined ? '.' : ''}`);
}

const joined = (key: string, name: string): string => (key === '' ? name : `${key}.${name}`);
const rowsOf = (key: string, schema: Schema<unknown>): Row[] => [
  { key, type: schema.type, about: schema.about, presence: schema.presence },
  ...schema.rows(key),
];

export interface CountLimits {
  readonly min?: number;
  readonly max?: number;
}
/** Items of an array and entries of a record, when the schema names no limit. */
export const CONFIG_ITEMS_MAX = 1024;

function checkCount(count: number, limits: CountLimits, noun: string, at: Place): void {
  const { min = 0, max = CONFIG_ITEMS_MAX } = limits;
  if (count < min) refuseAt(at, `has ${String(count)} ${noun} but needs at least ${String(min)}; add what is missing.`);
  if (count > max) refuseAt(at, `has ${String(count)} ${noun} but may have at most ${String(max)}; remove some.`);
}

/** A list of equal things. */
export function array<T>(about: string, item: Schema<T>, limits: CountLimits = {}): Schema<readonly T[]> {
  const parse = (value: unknown, at: Place): readonly T[] => {
    if (!Array.isArray(value)) return refuseAt(at, `must be an array but is ${shown(value)}; write [ ... ].`);
    checkCount(value.length, limits, 'items', at);
    return value.map((each: unknown, index) => item.parse(each, within(at, `[${String(index)}]`)));
  };
  const { min = 0, max = CONFIG_ITEMS_MAX } = limits;
  return {
    ...leaf(about, `array of: ${item.type}`, parse, {}),
    rows: (key) => item.rows(`${key}[]`),
    json: () => ({ description: about, type: 'array', items: item.json(), minItems: min, maxItems: max }),
  };
}

/** An object whose keys are names chosen by the operator, each matching `name`. */
export function record<T>(
  about: string,
  name: { readonly pattern: RegExp; readonly words: string },
  item: Schema<T>,
  limits: CountLimits = {},
): Schema<Readonly<Record<string, T>>> {
  const parse = (value: unknown, at: Place): Readonly<Record<string, T>> => {
    const entries = Object.entries(requireObject(value, at));
    checkCount(entries.length, limits, 'entries', at);
    return Object.fromEntries(
      entries.map(([key, each]) => {
        if (!name.pattern.test(key)) refuseAt(at, `has the name ${shown(key)}; a name here is ${name.words}.`);
        return [key, item.parse(each, within(at, key))];
      }),
    );
  };
  const propertyNames = { pattern: name.pattern.source };
  return {
    ...leaf(about, `object of named: ${item.type}`, parse, {}),
    rows: (key) => item.rows(`${key}.NAME`),
    json: () => ({ description: about, type: 'object', propertyNames, additionalProperties: item.json() }),
  };
}

/** One of several objects, told apart by the value of `tag`. */
export function union<K extends string, V extends Readonly<Record<string, Fields>>>(
  about: string,
  tag: K,
  variants: V,
): Schema<{ [N in keyof V & string]: Readonly<Record<K, N>> & ObjectOf<V[N]> }[keyof V & string]> {
  type Out = { [N in keyof V & string]: Readonly<Record<K, N>> & ObjectOf<V[N]> }[keyof V & string];
  const names = Object.keys(variants);
  const words = names.map((name) => `"${name}"`).join(', ');
  const parsers = new Map(
    Object.entries(variants).map(
      ([name, fields]) => [name, object(about, { ...fields, [tag]: literal(name) })] as const,
    ),
  );
  const parse = (value: unknown, at: Place): Out => {
    const source = requireObject(value, at);
    const given = Object.hasOwn(source, tag) ? source[tag] : refuseMissing(within(at, tag), `one of ${words}`);
    const parser = typeof given === 'string' ? parsers.get(given) : undefined;
    if (parser === undefined) return refuseAt(within(at, tag), `is ${shown(given)} but must be one of ${words}.`);
    return parser.parse(value, at) as Out;
  };
  const rows = (key: string): Row[] => [
    {
      key: joined(key, tag),
      type: `one of ${words}`,
      about: 'which kind; it decides the keys beside it',
      presence: 'required',
    },
    ...Object.entries(variants).flatMap(([name, fields]) =>
      Object.entries(fields)
        .flatMap(([field, schema]) => rowsOf(joined(key, field), schema))
        .map((row) => ({ ...row, about: `(${tag} "${name}") ${row.about}` })),
    ),
  ];
  const json = (): JsonSchemaPart => ({
    description: about,
    oneOf: [...parsers.values()].map((variant) => variant.json()),
  });
  return { ...leaf(about, `object with "${tag}"`, parse, {}), rows, json };
}

const literal = (name: string): Schema<string> => leaf('', `"${name}"`, () => name, { const: name });

/** A configuration as a JSON Schema of its own: for editors, and for whoever writes configurations by program. */
export const jsonSchemaOf = (schema: Schema<unknown>): JsonSchemaPart => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  ...schema.json(),
});

/** The reference of a configuration as a Markdown table, one row a key. */
export function describeConfig(schema: Schema<unknown>): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = schema
    .rows('')
    .map((row) => `| \`${row.key}\` | ${cell(row.type)} | ${row.presence} | ${cell(row.about)} |`);
  return ['| key | value | default | meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}
