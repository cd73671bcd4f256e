// What a fuzz target is, and what is checked of every one of them. Imported by the targets: nothing here but Node and types.

/** One parser under fuzz: `targets/NAME.ts` exports it as `target`. */
export interface FuzzTarget {
  /** What is read, and what must hold, in one sentence. */
  readonly about: string;
  /** The parser's files, from the top of the repository. The corpus runs most of their lines (LINES_LEAST). */
  readonly files: readonly string[];
  /** Functions in them that read nothing: their lines do not count. */
  readonly beside?: readonly string[];
  /** Directories that run and that the fuzzer does not watch: other targets are about them, and watching is most of what a run costs. */
  readonly elsewhere?: readonly string[];
  /** Longest input that is made, bytes. */
  readonly bytesMax: number;
  /** Words that the parser looks for. */
  readonly words?: readonly string[];
  /** Set when `run` gives promises. */
  readonly waits?: true;
  /** Gives the input to the parser. Throws only when the parser is wrong. */
  readonly run: (input: Uint8Array) => void | Promise<void>;
  /** Inputs to begin with. */
  readonly seeds: () => Iterable<Uint8Array>;
}

/** How much of a parser's files the checked-in corpus runs, percent of their lines. */
export const LINES_LEAST = 95;

/** The parser, or what was expected of it, is wrong. */
export class Broken extends Error {}

export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Broken(what);
}

/** Holds when both are the same JSON, a bigint as its digits. */
export function same(one: unknown, other: unknown, what: string): void {
  const [a, b] = [one, other].map((value) => JSON.stringify(value, plain));
  if (a !== b) throw new Broken(`${what}: ${String(a).slice(0, 300)} and ${String(b).slice(0, 300)}`);
}

/** Holds when both are the same bytes. */
export function sameBytes(one: Uint8Array, other: Uint8Array, what: string): void {
  if (Buffer.compare(one, other) !== 0) same(one, other, what);
}

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return `${String(value)}n`;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
  return value;
};

/** Bytes before and behind an input that a parser must not look at. */
const FENCE = new Uint8Array(16).fill(0xa5);
const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Uint8Array.prototype];
const KEYS = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length);

function after(input: Uint8Array, room: Uint8Array): void {
  check(Buffer.compare(room, joined(FENCE, input, FENCE)) === 0, 'the input, or bytes beside it, were changed');
  for (let i = 0; i < PROTOTYPES.length; i += 1) {
    if (Reflect.ownKeys(PROTOTYPES[i] ?? {}).length !== KEYS[i]) throw new Broken('a prototype was changed');
  }
}

/**
 * Runs one input, and checks what holds for every parser: it changes no input, nothing beside it, and no prototype. The input
 * stands within other bytes, so that a parser that forgets where its view begins reads the wrong ones.
 */
export function run(target: FuzzTarget, input: Uint8Array): void | Promise<void> {
  const room = joined(FENCE, input, FENCE);
  const running = target.run(room.subarray(FENCE.length, FENCE.length + input.length));
  return running === undefined ? after(input, room) : running.then(() => after(input, room));
}

/** True when a path, joined to a directory, stays in it, by rules of our own: the parser's may be wrong. */
export const staysInside = (path: string): boolean =>
  !path.includes('\\') && !path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..');

/** UTF-8 bytes. */
export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Pieces, one behind the other. */
export function joined(...pieces: readonly ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
