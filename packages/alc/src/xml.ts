// Cursor over the XML subset that FDT Instances use: ASCII, start and empty-element tags with attributes, end tags, white space.
// Anything else (text, comments, processing instructions, CDATA, document types, character references) does not match and is refused.

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const QUOTE = 34;
const AMPERSAND = 38;
const APOSTROPHE = 39;
const LESS = 60;
const EQUALS = 61;
const SEMICOLON = 59;

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
/** Longest name of those; also what ends a name that no semicolon ends. */
const ENTITY_BYTES_MAX = 4;

const isSpace = (byte: number): boolean => byte === SPACE || byte === LF || byte === TAB || byte === CR;
/** Letters and `-`, which is all that names in an FDT are made of. */
const isName = (byte: number): boolean => (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte === 45;

export type Attributes = ReadonlyMap<string, string>;

/** Every method moves on when it matches, and says whether it did; time is linear in the bytes passed over. */
export class XmlCursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  #peek(ahead = 0): number {
    return this.#bytes[this.#at + ahead] ?? 0;
  }

  atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** White space; true when there was some. */
  space(): boolean {
    const from = this.#at;
    while (isSpace(this.#peek())) this.#at++;
    return this.#at > from;
  }

  /** Exactly this ASCII text. */
  literal(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#peek(i) !== text.charCodeAt(i)) return false;
    this.#at += text.length;
    return true;
  }

  /** The `<name` of a start tag: the name must end there. */
  open(name: string): boolean {
    const from = this.#at;
    if (this.literal('<') && this.literal(name) && !isName(this.#peek())) return true;
    this.#at = from;
    return false;
  }

  #name(): string {
    let name = '';
    while (isName(this.#peek())) name += String.fromCharCode(this.#bytes[this.#at++] ?? 0);
    return name;
  }

  #entity(): string | undefined {
    let name = '';
    while (this.#peek() !== SEMICOLON) {
      if (name.length === ENTITY_BYTES_MAX) return undefined;
      name += String.fromCharCode(this.#peek());
      this.#at++;
    }
    this.#at++;
    return Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
  }

  #value(): string | undefined {
    const quote = this.#peek();
    if (quote !== QUOTE && quote !== APOSTROPHE) return undefined;
    this.#at++;
    let value = '';
    while (this.#peek() !== quote) {
      const byte = this.#peek();
      if (byte < SPACE || byte > 126 || byte === LESS) return undefined;
      this.#at++;
      const piece = byte === AMPERSAND ? this.#entity() : String.fromCharCode(byte);
      if (piece === undefined) return undefined;
      value += piece;
    }
    this.#at++;
    return value;
  }

  /** The attributes of a tag up to its `>` or `/>`, each after white space, none twice. Undefined when malformed. */
  attributes(): Attributes | undefined {
    const found = new Map<string, string>();
    for (;;) {
      const spaced = this.space();
      if (!isName(this.#peek())) return found;
      const name = this.#name();
      this.space();
      if (!spaced || this.#peek() !== EQUALS) return undefined;
      this.#at++;
      this.space();
      const value = this.#value();
      if (value === undefined || found.has(name)) return undefined;
      found.set(name, value);
    }
  }
}
