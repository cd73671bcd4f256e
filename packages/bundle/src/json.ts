import { ok, refuse, type Result, STATEMENT_BYTES } from '@sluice/ports';
import { decodeUtf8 } from './tar.ts';

/** A JSON value. Objects inherit nothing, so no key of a document can be taken for a method. */
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

/** Limits of our own statements (docs/PROTOCOL.md section 8): room for some 200,000 files, each of which takes 12 values and 300 bytes. */
export const STATEMENT_JSON: JsonLimits = { bytes: STATEMENT_BYTES, depth: 32, values: 2 ** 22, numbers: 'integers' };
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
/** What ends the plain part of a string besides its quotation mark. */
const SPECIAL = /[\\\u0000-\u001f]/g;
/** Digits of an integer that is safe whatever they are. */
const SAFE_DIGITS = 15;
/** Keys remembered, a power of two. */
const KEYS_KEPT = 64;
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
const WORDS = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const;

// Code units that the parser looks for.
const SPACE = 0x20;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Makes objects that inherit nothing, in a third of the memory and time that `Object.create(null)` takes for each. */
const Bare = function () {
  // A constructor, for the prototype's sake.
} as unknown as new () => Record<string, JsonValue>;
Bare.prototype = Object.freeze(Object.create(null)) as object;

class Parser {
  readonly #text: string;
  readonly #limits: JsonLimits;
  #at = 0;
  #values = 0;
  /** Where the next special character of a string stands, once looked for: strings before it are plain. */
  #special = -1;
  readonly #keys: (string | undefined)[] = new Array<undefined>(KEYS_KEPT).fill(undefined);

  /** @param plain there is no backslash and no control character in all of the text */
  constructor(text: string, limits: JsonLimits, plain: boolean) {
    this.#text = text;
    this.#limits = limits;
    if (plain) this.#special = text.length;
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

  /** Passes over white space; gives the code unit that follows, NaN at the end. */
  #space(): number {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== SPACE && unit !== LF && unit !== CR && unit !== TAB) return unit;
      this.#at += 1;
    }
  }

  #value(depth: number): JsonValue {
    const first = this.#space();
    this.#values += 1;
    if (this.#values > this.#limits.values) throw this.#malformed('too many values');
    if (first === QUOTE) return this.#string();
    if (first === OPEN_OBJECT || first === OPEN_LIST) {
      if (depth >= this.#limits.depth) throw this.#malformed('too many levels');
      return first === OPEN_OBJECT ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    return this.#shortInteger(first) ?? this.#wordOrNumber();
  }

  #wordOrNumber(): JsonValue {
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.#number();
  }

  /** The usual number, without a sign, a leading zero, a fraction or an exponent; undefined for anything else. */
  #shortInteger(first: number): number | undefined {
    if (!(first > ZERO && first <= NINE)) return undefined;
    let value = 0;
    let at = this.#at;
    let unit = first;
    for (; unit >= ZERO && unit <= NINE; unit = this.#text.charCodeAt(at)) {
      value = value * 10 + (unit - ZERO);
      at += 1;
    }
    const ends = unit === COMMA || unit === CLOSE_OBJECT || unit === CLOSE_LIST;
    if (!ends || at - this.#at > SAFE_DIGITS) return undefined;
    this.#at = at;
    return value;
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
    const start = this.#at + 1;
    const end = this.#text.indexOf('"', start);
    if (end === -1 || this.#specialFrom(start) < end) return this.#oddString();
    this.#at = end + 1;
    return this.#text.slice(start, end);
  }

  /** As a string; a key that was there before, spelled as it is, is given as the same string again, which an object finds at once. */
  #key(): string {
    const start = this.#at + 1;
    const end = this.#text.indexOf('"', start);
    const slot = (end - start + 7 * this.#text.charCodeAt(start)) & (KEYS_KEPT - 1);
    const known = this.#keys[slot];
    if (known?.length === end - start && this.#text.startsWith(known, start)) {
      this.#at = end + 1;
      return known;
    }
    const key = this.#string();
    if (this.#at === end + 1 && key.length === end - start) this.#keys[slot] = key;
    return key;
  }

  /** Each character is looked at once for all strings: `start` only grows. */
  #specialFrom(start: number): number {
    if (this.#special >= start) return this.#special;
    SPECIAL.lastIndex = start;
    this.#special = SPECIAL.test(this.#text) ? SPECIAL.lastIndex - 1 : this.#text.length;
    return this.#special;
  }

  /** A string with escapes, or one that is malformed. */
  #oddString(): string {
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
    this.#at += 1;
    if (this.#closes(CLOSE_LIST)) return items;
    do items.push(this.#value(depth));
    while (this.#goesOn(CLOSE_LIST));
    return items;
  }

  #object(depth: number): JsonObject {
    const fields = new Bare();
    this.#at += 1;
    if (this.#closes(CLOSE_OBJECT)) return fields;
    do {
      if (this.#space() !== QUOTE) throw this.#malformed('no key');
      const key = this.#key();
      if (key in fields)
        throw new Fault('json-duplicate-key', `JSON: a key is there twice before character ${String(this.#at)}`);
      if (this.#space() !== COLON) throw this.#malformed('no colon');
      this.#at += 1;
      fields[key] = this.#value(depth);
    } while (this.#goesOn(CLOSE_OBJECT));
    return fields;
  }

  /** True for a list or object without members, whose end is passed over. */
  #closes(end: number): boolean {
    if (this.#space() !== end) return false;
    this.#at += 1;
    return true;
  }

  /** After a member: true when another follows. */
  #goesOn(end: number): boolean {
    const next = this.#space();
    if (next !== COMMA && next !== end) throw this.#malformed('no comma');
    this.#at += 1;
    return next === COMMA;
  }
}

/** A look at the bytes is several times cheaper than one at the text, and with our own spelling enough. */
function isPlain(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte < SPACE || byte === BACKSLASH) return false;
  }
  return true;
}

/** Parses a whole document: total, in linear time and bounded memory. Refuses `statement-too-large`, `json-malformed`, `json-duplicate-key`. */
export function parseJson(bytes: Uint8Array, limits: JsonLimits): Result<JsonValue> {
  if (bytes.length > limits.bytes) {
    return refuse('statement-too-large', `${String(bytes.length)} bytes of JSON are more than ${String(limits.bytes)}`);
  }
  const text = decodeUtf8(bytes);
  if (text === undefined) return refuse('json-malformed', 'JSON: not UTF-8');
  try {
    return ok(new Parser(text, limits, isPlain(bytes)).document());
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
