import { ok, refuse, type Result } from '@sluice/ports';
import { decodeUtf8 } from './tar.ts';

/** A JSON value. Objects have no prototype, so no key of a document can be taken for a method. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

export interface JsonLimits {
  /** Bytes of the document. */
  readonly bytes: number;
  /** Levels of arrays and objects. */
  readonly depth: number;
  /** Values of every kind, nested ones too: each costs memory that the bytes alone do not bound well (`{}` some fifty times its own). */
  readonly values: number;
  /** `any` also takes fractions and exponents, in documents that others wrote. */
  readonly numbers: 'integers' | 'any';
}

/** Limits of our own statements (docs/PROTOCOL.md section 8). */
export const STATEMENT_JSON: JsonLimits = { bytes: 16 * 2 ** 20, depth: 32, values: 2 ** 20, numbers: 'integers' };
/** Limits of OCI documents: other keys and numbers are theirs to use; a key twice is not. */
export const FOREIGN_JSON: JsonLimits = { bytes: 4 * 2 ** 20, depth: 64, values: 2 ** 18, numbers: 'any' };

/** Ends the parse; never leaves this file. */
class Fault extends Error {
  readonly code: 'json-malformed' | 'json-duplicate-key';
  constructor(code: 'json-malformed' | 'json-duplicate-key', message: string) {
    super(message);
    this.code = code;
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

class Parser {
  readonly #text: string;
  readonly #limits: JsonLimits;
  #at = 0;
  #values = 0;

  constructor(text: string, limits: JsonLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#malformed('something follows the document');
    return value;
  }

  #malformed(what: string): Fault {
    return new Fault('json-malformed', `JSON: ${what} at character ${String(this.#at)}`);
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #value(depth: number): JsonValue {
    this.#space();
    this.#values += 1;
    if (this.#values > this.#limits.values) throw this.#malformed('too many values');
    const first = this.#text[this.#at];
    if (first === '{' || first === '[') {
      if (depth >= this.#limits.depth) throw this.#malformed('too many levels');
      return first === '{' ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    if (first === '"') return this.#string();
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) throw this.#malformed('no value');
    const value = Number(match[0]);
    // `-0` is an integer with a second spelling of its own.
    const isInteger = match[1] === undefined && match[2] === undefined && !Object.is(value, -0);
    if (this.#limits.numbers === 'integers' && !(isInteger && Number.isSafeInteger(value))) {
      throw this.#malformed('a number that is not a safe integer');
    }
    this.#at = NUMBER.lastIndex;
    return value;
  }

  #string(): string {
    this.#at += 1;
    const pieces: string[] = [];
    for (;;) {
      PLAIN.lastIndex = this.#at;
      pieces.push(PLAIN.exec(this.#text)?.[0] ?? '');
      this.#at = PLAIN.lastIndex;
      const next = this.#text[this.#at];
      if (next === '"') break;
      if (next !== '\\') throw this.#malformed('a string that does not end, or a control character in it');
      pieces.push(this.#escape());
    }
    this.#at += 1;
    return pieces.join('');
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    if (letter === 'u') {
      const hex = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#malformed('a broken escape');
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const plain = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (plain === undefined) throw this.#malformed('a broken escape');
    this.#at += 2;
    return plain;
  }

  #array(depth: number): readonly JsonValue[] {
    const items: JsonValue[] = [];
    this.#members(']', () => items.push(this.#value(depth)));
    return items;
  }

  #object(depth: number): JsonObject {
    const fields = Object.create(null) as Record<string, JsonValue>;
    this.#members('}', () => {
      this.#space();
      if (this.#text[this.#at] !== '"') throw this.#malformed('no key');
      const key = this.#string();
      if (key in fields)
        throw new Fault('json-duplicate-key', `JSON: a key is there twice before character ${String(this.#at)}`);
      this.#space();
      if (this.#text[this.#at] !== ':') throw this.#malformed('no colon');
      this.#at += 1;
      fields[key] = this.#value(depth);
    });
    return fields;
  }

  /** What stands between brackets: nothing, or members with commas between them. */
  #members(end: string, member: () => void): void {
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === end) {
      this.#at += 1;
      return;
    }
    for (;;) {
      member();
      this.#space();
      const next = this.#text[this.#at];
      this.#at += 1;
      if (next === end) return;
      if (next !== ',') {
        this.#at -= 1;
        throw this.#malformed('no comma');
      }
    }
  }
}

/** Parses a whole document: total, in linear time and bounded memory. Refuses `statement-too-large`, `json-malformed`, `json-duplicate-key`. */
export function parseJson(bytes: Uint8Array, limits: JsonLimits): Result<JsonValue> {
  if (bytes.length > limits.bytes) {
    return refuse('statement-too-large', `${String(bytes.length)} bytes of JSON are more than ${String(limits.bytes)}`);
  }
  const text = decodeUtf8(bytes);
  if (text === undefined) return refuse('json-malformed', 'JSON: not UTF-8');
  try {
    return ok(new Parser(text, limits).document());
  } catch (error) {
    if (error instanceof Fault) return refuse(error.code, error.message);
    throw error;
  }
}

export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isList = (value: JsonValue | undefined): value is readonly JsonValue[] => Array.isArray(value);

/** Refuses `json-unknown-key` when `value` has a key that `known` does not name. */
export function onlyKeys(value: JsonObject, known: readonly string[], where: string): Result<undefined> {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  return unknown === undefined
    ? ok(undefined)
    : refuse(
        'json-unknown-key',
        `${where} has a key that is not of the format: ${JSON.stringify(unknown.slice(0, 64))}`,
      );
}
