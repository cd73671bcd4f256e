import { type BundleCode, type Digest, isDigest, ok, refuse, type Refusal, type Result } from '@sluice/ports';
import { isList, isObject, type JsonObject, type JsonValue, onlyKeys } from './json.ts';

/** Ends the reading of a document; never leaves `reading`. */
class Fault extends Error {
  readonly refusal: Refusal;
  constructor(code: BundleCode, detail: string) {
    super(detail);
    this.refusal = { code, detail };
  }
}

/** Longest text in a statement, UTF-16 units. */
const TEXT_MAX = 1024;
/** Most items of a list. */
const ITEMS_MAX = 500_000;

/** Runs `read`, and turns what it refuses into a result. */
export function reading<T>(read: () => T): Result<T> {
  try {
    return ok(read());
  } catch (error) {
    if (error instanceof Fault) return refuse(error.refusal.code, error.refusal.detail);
    throw error;
  }
}

export function fail(code: BundleCode, detail: string): never {
  throw new Fault(code, detail);
}

/** The value of a result; its refusal ends the reading. */
export function must<T>(result: Result<T>): T {
  if (!result.ok) return fail(result.error.code, result.error.detail);
  return result.value;
}

export function objectAt(value: JsonValue | undefined, where: string, keys: readonly string[]): JsonObject {
  if (!isObject(value)) return fail('statement-malformed', `${where} is not an object`);
  must(onlyKeys(value, keys, where));
  return value;
}

export function listAt(value: JsonValue | undefined, where: string): readonly JsonValue[] {
  if (!isList(value)) return fail('statement-malformed', `${where} is not a list`);
  if (value.length > ITEMS_MAX) return fail('statement-malformed', `${where} has more than ${String(ITEMS_MAX)} items`);
  return value;
}

/** A text of 1 to 1,024 characters without control characters and lone surrogates (which two texts could share as U+FFFD once encoded). */
export function textAt(value: JsonValue | undefined, where: string): string {
  if (typeof value !== 'string' || value === '') return fail('statement-malformed', `${where} is not a text`);
  if (value.length > TEXT_MAX)
    return fail('statement-malformed', `${where} is longer than ${String(TEXT_MAX)} characters`);
  if (!value.isWellFormed()) return fail('statement-malformed', `${where} holds half a character`);
  for (let i = 0; i < value.length; i += 1) {
    const unit = value.charCodeAt(i);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0))
      return fail('statement-malformed', `${where} holds a control character`);
  }
  return value;
}

export function literalAt<T extends string>(value: JsonValue | undefined, where: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  return found ?? fail('statement-malformed', `${where} is not one of ${allowed.join(', ')}`);
}

/** A safe integer of at least `least`. */
export function countAt(value: JsonValue | undefined, where: string, least = 0): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    return fail('statement-malformed', `${where} is not an integer of at least ${String(least)}`);
  }
  return value;
}

/** `sha256:` and 64 hexadecimal digits; any other algorithm is refused by name. */
export function digestAt(value: JsonValue | undefined, where: string): Digest {
  if (isDigest(value)) return value;
  if (typeof value === 'string' && /^[a-z0-9]+([+._-][a-z0-9]+)*:/.test(value) && !value.startsWith('sha256:')) {
    return fail('digest-algorithm', `${where} is not a sha256 digest`);
  }
  return fail('statement-malformed', `${where} is not a digest`);
}

/** An in-toto digest set with sha256 alone. */
export function digestSetAt(value: JsonValue | undefined, where: string): Digest {
  if (isObject(value) && Object.keys(value).some((key) => key !== 'sha256')) {
    return fail('digest-algorithm', `${where} has a digest that is not sha256`);
  }
  const { sha256 } = objectAt(value, where, ['sha256']);
  return digestAt(typeof sha256 === 'string' ? `sha256:${sha256}` : undefined, where);
}
