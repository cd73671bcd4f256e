import { join, resolve } from 'node:path';
import { leaf, type Schema } from './schema.ts';
import { suggestion } from './suggest.ts';
import { refuseAt, shown, type Place } from './place.ts';

/** Longest text value, in UTF-16 units, when the schema names no limit. */
export const CONFIG_TEXT_MAX = 4096;

export interface TextLimits {
  readonly min?: number;
  readonly max?: number;
  /** The whole text must match; `words` says what the pattern means. */
  readonly pattern?: RegExp;
  readonly words?: string;
}

/** Text, not empty unless `min` is 0. */
export function string(about: string, limits: TextLimits = {}): Schema<string> {
  const { min = 1, max = CONFIG_TEXT_MAX, pattern, words = 'text' } = limits;
  const form = { minLength: min, maxLength: max, ...(pattern === undefined ? {} : { pattern: pattern.source }) };
  const parse = (value: unknown, at: Place): string => {
    if (typeof value !== 'string')
      return refuseAt(at, `must be ${words} but is ${shown(value)}; write it in double quotes.`);
    if (value === '' && min > 0) return refuseAt(at, `is empty; write ${words}.`);
    if (value.length < min) return refuseAt(at, `must have at least ${String(min)} characters; write ${words}.`);
    if (value.length > max)
      return refuseAt(at, `has ${String(value.length)} characters but may have ${String(max)}; shorten it.`);
    if (pattern !== undefined && !pattern.test(value)) return refuseAt(at, `is ${shown(value)} but must be ${words}.`);
    return value;
  };
  return leaf(about, words, parse, { type: 'string', ...form });
}

export interface NumberLimits {
  readonly min?: number;
  readonly max?: number;
  /** What is counted, for error and reference: `seconds`. */
  readonly unit?: string;
}

const rangeWords = (min: number, max: number, print: (value: number) => string): string => {
  if (max !== Number.MAX_SAFE_INTEGER) return `, ${print(min)} to ${print(max)}`;
  return min > 0 ? `, at least ${print(min)}` : '';
};

/** A whole number; 0 and above unless `min` says otherwise. */
export function integer(about: string, limits: NumberLimits = {}): Schema<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, unit } = limits;
  const words = `integer${unit === undefined ? '' : ` (${unit})`}${rangeWords(min, max, String)}`;
  const parse = (value: unknown, at: Place): number => {
    if (!Number.isSafeInteger(value)) return refuseAt(at, `must be an ${words}, but is ${shown(value)}.`);
    const number = value as number;
    return number < min || number > max ? refuseAt(at, `is ${String(number)} but must be an ${words}.`) : number;
  };
  return leaf(about, words, parse, { type: 'integer', minimum: min, maximum: max });
}

/** A number with a fraction, 0 and above unless `min` says otherwise. */
export function fraction(about: string, limits: NumberLimits = {}): Schema<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, unit } = limits;
  const words = `number${unit === undefined ? '' : ` (${unit})`}${rangeWords(min, max, String)}`;
  const parse = (value: unknown, at: Place): number =>
    typeof value !== 'number' || value < min || value > max
      ? refuseAt(at, `must be a ${words}, but is ${shown(value)}.`)
      : value;
  return leaf(about, words, parse, { type: 'number', minimum: min, maximum: max });
}

export const boolean = (about: string): Schema<boolean> =>
  leaf(
    about,
    'true or false',
    (value, at) =>
      typeof value === 'boolean'
        ? value
        : refuseAt(at, `must be true or false (without quotes) but is ${shown(value)}.`),
    { type: 'boolean' },
  );

/** One of a few words. */
export function oneOf<const V extends readonly string[]>(about: string, values: V): Schema<V[number]> {
  const words = `one of ${values.map((value) => `"${value}"`).join(', ')}`;
  const parse = (value: unknown, at: Place): V[number] => {
    const found = values.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? suggestion(value, values) : undefined;
    return refuseAt(
      at,
      `is ${shown(value)} but must be ${words}${near === undefined ? '.' : `; did you mean "${near}"?`}`,
    );
  };
  return leaf(about, words, parse, { enum: values });
}

const BYTE_UNITS = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const TIME_UNITS = { us: 1e-3, ms: 1, s: 1e3, min: 6e4, h: 3.6e6, d: 8.64e7 };
const RATE_UNITS = { 'bit/s': 1, 'kbit/s': 1e3, 'Mbit/s': 1e6, 'Gbit/s': 1e9 };

/** A size such as "64MiB", as bytes. */
export const bytes = (about: string, limits: NumberLimits = {}): Schema<number> =>
  quantity(about, { noun: 'size', example: '64MiB', units: BYTE_UNITS, whole: true }, limits);

/** A stretch of time such as "250ms" or "5s", as milliseconds (with a fraction below "1ms"). */
export const duration = (about: string, limits: NumberLimits = {}): Schema<number> =>
  quantity(about, { noun: 'duration', example: '250ms', units: TIME_UNITS, whole: false }, limits);

/** A rate such as "1Gbit/s", as bits per second. */
export const rate = (about: string, limits: NumberLimits = {}): Schema<number> =>
  quantity(about, { noun: 'rate', example: '1Gbit/s', units: RATE_UNITS, whole: true }, limits);

interface Quantity {
  readonly noun: string;
  readonly example: string;
  readonly units: Readonly<Record<string, number>>;
  readonly whole: boolean;
}

/** A number and a unit in one text; `min` and `max` are in the base unit. */
function quantity(about: string, kind: Quantity, limits: NumberLimits): Schema<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = limits;
  const print = (value: number): string => printQuantity(value, kind.units);
  const words = `${kind.noun} such as "${kind.example}"${rangeWords(min, max, print)}`;
  const units = Object.keys(kind.units).join(', ');
  const parse = (value: unknown, at: Place): number => {
    const match = typeof value === 'string' ? /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z/]+)$/.exec(value) : null;
    const factor = match?.[2] !== undefined && Object.hasOwn(kind.units, match[2]) ? kind.units[match[2]] : undefined;
    if (match === null || factor === undefined) {
      return refuseAt(
        at,
        `must be a ${words}, but is ${shown(value)}; write a number and one of the units ${units}, in quotes.`,
      );
    }
    const amount = Number(match[1]) * factor;
    const result = kind.whole ? Math.round(amount) : amount;
    return result < min || result > max ? refuseAt(at, `is ${shown(value)} but must be a ${words}.`) : result;
  };
  const pattern = `^\\d{1,15}(\\.\\d{1,6})? ?(${Object.keys(kind.units).join('|')})$`;
  return leaf(about, words, parse, { type: 'string', pattern, examples: [kind.example] });
}

/** The largest unit that gives a whole number. */
function printQuantity(value: number, units: Readonly<Record<string, number>>): string {
  const [best] = Object.entries(units)
    .filter(([, factor]) => Number.isInteger(value / factor))
    .sort(([, a], [, b]) => b - a);
  return best === undefined || value === 0
    ? `"${String(value)}${Object.keys(units)[0] ?? ''}"`
    : `"${String(value / best[1])}${best[0]}"`;
}

const CREDENTIALS_PREFIX = '${CREDENTIALS_DIRECTORY}/';

/**
 * A path, made absolute from the directory of the configuration file. The one variable is a leading
 * `${CREDENTIALS_DIRECTORY}/`, which systemd sets. The file itself is not looked at.
 */
export const path = (about: string): Schema<string> => leaf(about, 'path', resolvePath, PATH_FORM);

/** What a path looks like in a JSON Schema. */
export const PATH_FORM = { type: 'string', minLength: 1, maxLength: CONFIG_TEXT_MAX } as const;

export function resolvePath(value: unknown, at: Place): string {
  if (typeof value !== 'string' || value === '' || value.length > CONFIG_TEXT_MAX || value.includes('\0')) {
    return refuseAt(at, `must be a path but is ${shown(value)}; write it in double quotes.`);
  }
  if (value.startsWith(CREDENTIALS_PREFIX)) {
    if (at.credentials === undefined) {
      return refuseAt(
        at,
        'uses ${CREDENTIALS_DIRECTORY}, which is not set; start through systemd with LoadCredential= or write a plain path.',
      );
    }
    const rest = value.slice(CREDENTIALS_PREFIX.length);
    if (rest.split('/').includes('..')) return refuseAt(at, 'leaves ${CREDENTIALS_DIRECTORY} by ".."; remove that.');
    return join(at.credentials, rest);
  }
  if (value.includes('${')) {
    return refuseAt(
      at,
      `is ${shown(value)}, but the only variable is a leading ${CREDENTIALS_PREFIX}; write the path out.`,
    );
  }
  return resolve(at.directory, value);
}

/** An absolute URL with one of these schemes (`http:`), without user and password: those belong into a secret file. */
export function url(about: string, protocols: readonly string[] = ['http:', 'https:']): Schema<string> {
  const words = `URL that begins with ${protocols.map((each) => `${each}//`).join(' or ')}`;
  const parse = (value: unknown, at: Place): string => {
    const parsed = typeof value === 'string' ? URL.parse(value) : null;
    if (parsed === null || !protocols.includes(parsed.protocol))
      return refuseAt(at, `must be a ${words}, but is ${shown(value)}.`);
    if (parsed.username !== '' || parsed.password !== '') {
      return refuseAt(at, 'carries a user name or password; put it into a secret file and name that instead.');
    }
    return String(value);
  };
  return leaf(about, words, parse, { type: 'string', pattern: `^(${protocols.join('|')})//` });
}
