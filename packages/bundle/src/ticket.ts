import { ok, type Result, type Sha256, type TicketCode } from '@sluice/ports';
import { type BlockRange, type Gap, joinedUp, lastOf, type ObjectGap, partialIn, roundedUp, wholeIn } from './gap.ts';

/** Longest ticket, bytes. */
export const TICKET_BYTES = 2048;
/** Characters of a line without its number and check, and what these and its end take. */
const LINE_CHARACTERS = 60;
const LINE_AROUND = '00  0000\n'.length;
/** An object in blocks takes that many bytes at least, such as `5: 7` and a space. */
const PARTIAL_BYTES = 5;
const DOMAIN = 'sluice ticket v1\n';
const SIGNATURE_BYTES = 64;
const GROUP = 5;
/** Base 32 without letters that look like digits (Crockford's). */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CHANNEL = /^[a-z0-9][a-z0-9-]{0,31}$/;
const OBJECT_MAX = 500_001;
const BLOCK_MAX = 2 ** 24 - 1;

/** Why a text is no ticket that is served: the code, and one sentence. */
export interface TicketRefusal {
  readonly code: TicketCode;
  readonly detail: string;
}
export type TicketResult<T> = Result<T, TicketRefusal>;

/** A ticket that was read. Nothing is known of who signed it yet. */
export interface Ticket {
  readonly gap: Gap;
  /** What the signature covers. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

const no = (code: TicketCode, detail: string): { readonly ok: false; readonly error: TicketRefusal } => ({
  ok: false,
  error: { code, detail },
});

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f);

function base32(bytes: Uint8Array): string {
  let text = '';
  let [bits, value] = [0, 0];
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31] ?? '';
  }
  return bits === 0 ? text : text + (ALPHABET[(value << (5 - bits)) & 31] ?? '');
}

/** Undefined where a character is none of the alphabet's. */
function fromBase32(text: string, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  let [bits, value, at] = [0, 0, 0];
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = (value >>> bits) & 255;
    at += 1;
  }
  return bytes;
}

/** What people read as letters where digits stand. */
const asDigits = (text: string): string => text.replaceAll('O', '0').replaceAll('I', '1').replaceAll('L', '1');

const spelled = ([first, last]: BlockRange): string =>
  first === last ? String(first) : `${String(first)}-${String(last)}`;

/** The words of a ticket before its signature, of a gap that is joined up (docs/PROTOCOL.md section 12). */
function* wordsOf({ channel, sequence, symbolBytes, maxBlock, objects }: Gap): Generator<string> {
  yield* ['SLUICE-TICKET', '1', channel, String(sequence)];
  if (objects === 'all') {
    yield 'ALL';
    return;
  }
  const whole = wholeIn(objects);
  if (whole.length > 0) yield 'WHOLE';
  for (const range of whole) yield spelled(range);
  let first = true;
  for (const { object, blocks } of objects) {
    if (blocks === 'all') continue;
    if (first) yield* ['BLOCKS', `E${String(symbolBytes)}`, `B${String(maxBlock)}`];
    first = false;
    yield `${String(object)}:`;
    for (const range of blocks) yield spelled(range);
  }
}

/** Words in lines, each as full as it may be. */
function* wrapped(words: Iterable<string>): Generator<string> {
  let line = '';
  for (const word of words) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= LINE_CHARACTERS) line += ` ${word}`;
    else {
      yield line;
      line = word;
    }
  }
  yield line;
}

const messageOf = (lines: readonly string[]): Uint8Array => ascii(DOMAIN + lines.map((line) => `${line}\n`).join(''));

const numbered = (line: string, index: number): string => `${String(index + 1).padStart(2, '0')} ${line}`;

/** Four characters by which a line is told from one with a typing error; capitals or not is no error. */
const checkOf = (line: string, sha256: Sha256): string =>
  base32(sha256(ascii(line.toUpperCase())).subarray(0, 3)).slice(0, 4);

const signatureLines = (signature: Uint8Array): string[] => [
  ...wrapped(['SIGN', ...(base32(signature).match(new RegExp(`.{1,${String(GROUP)}}`, 'g')) ?? [])]),
];

const textOf = (lines: readonly string[], signature: Uint8Array, sha256: Sha256): string =>
  [...lines, ...signatureLines(signature)]
    .map((line, index) => numbered(line, index))
    .map((line) => `${line} ${checkOf(line, sha256)}\n`)
    .join('');

const bytesOf = (line: string): number => line.length + LINE_AROUND;

/** True when a ticket has room for the gap. Not one line more is made than a ticket has room for. */
function fits(gap: Gap): boolean {
  let left = TICKET_BYTES;
  for (const line of signatureLines(new Uint8Array(SIGNATURE_BYTES))) left -= bytesOf(line);
  for (const line of wrapped(wordsOf(gap))) {
    left -= bytesOf(line);
    if (left < 0) return false;
  }
  return true;
}

/** The gap as a ticket can tell it: the same, or with as few objects as may be rounded up to whole ones, or all of the bundle. */
export function fittingGap(gap: Gap): Gap {
  const wanted = joinedUp(gap);
  if (fits(wanted)) return wanted;
  // What is rounded up in any case, once: half a million objects may lack in part.
  const most = Math.ceil(TICKET_BYTES / PARTIAL_BYTES);
  const least = roundedUp(wanted, Math.max(0, partialIn(wanted) - most));
  let [few, many] = [0, partialIn(least)];
  if (!fits(roundedUp(least, many))) return { ...gap, objects: 'all' };
  while (many - few > 1) {
    const middle = Math.floor((few + many) / 2);
    if (fits(roundedUp(least, middle))) many = middle;
    else few = middle;
  }
  return roundedUp(least, many);
}

/** The ticket of a gap: its bytes follow from the gap and the key alone. `sign` is Ed25519's, which has no chance in it. */
export function encodeTicket(gap: Gap, sign: (message: Uint8Array) => Uint8Array, sha256: Sha256): string {
  const lines = [...wrapped(wordsOf(fittingGap(gap)))];
  return textOf(lines, sign(messageOf(lines)), sha256);
}

/**
 * Reads a ticket as it was typed: capitals or not, O for 0, blank lines and spaces do not matter. Everything else is as
 * `encodeTicket` writes it, so that one gap has one ticket. `ticket-typing` names the line.
 */
export function parseTicket(text: string, sha256: Sha256): TicketResult<Ticket> {
  if (text.length > 2 * TICKET_BYTES)
    return no('ticket-malformed', `a ticket has at most ${String(TICKET_BYTES)} bytes`);
  const typed = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const lines: string[] = [];
  let signing = false;
  for (const [index, line] of typed.entries()) {
    const words = line.toUpperCase().split(/\s+/);
    const check = asDigits(words.pop() ?? '');
    const number = asDigits(words.shift() ?? '');
    const wanted = String(index + 1).padStart(2, '0');
    if (number !== wanted) {
      return no('ticket-typing', `line ${wanted} is missing: line "${number.slice(0, 8)}" stands in its place`);
    }
    signing ||= words[0] === 'SIGN';
    const read = words.map((word) => (signing && word !== 'SIGN' ? asDigits(word) : word)).join(' ');
    if (check !== checkOf(numbered(read, index), sha256)) {
      return no('ticket-typing', `line ${wanted} is not what it was: a typing error is in it`);
    }
    lines.push(read);
  }
  return ticketOf(lines, sha256);
}

function ticketOf(lines: readonly string[], sha256: Sha256): TicketResult<Ticket> {
  const signedAt = lines.findIndex((line) => line.startsWith('SIGN'));
  if (signedAt < 0)
    return no('ticket-typing', `line ${String(lines.length + 1).padStart(2, '0')} is missing: the signature`);
  const [, ...groups] = lines.slice(signedAt).join(' ').split(' ');
  const symbols = groups.join('');
  const wanted = Math.ceil((SIGNATURE_BYTES * 8) / 5);
  if (symbols.length < wanted)
    return no('ticket-typing', `line ${String(lines.length + 1).padStart(2, '0')} is missing`);
  const signature = fromBase32(symbols, SIGNATURE_BYTES);
  const gap = gapOf(lines.slice(0, signedAt).join(' ').split(' '));
  if (gap === undefined || signature === undefined || symbols.length > wanted) {
    return no('ticket-malformed', 'this is no ticket: its lines hold, and what they say has another form');
  }
  const body = [...wrapped(wordsOf(gap))];
  const upper = (text: string): string => text.toUpperCase();
  // One spelling: what could be said in two ways could say one thing more.
  const text = textOf(body, signature, sha256);
  if (text.length > TICKET_BYTES)
    return no('ticket-malformed', 'this is no ticket: it says more than a ticket has room for');
  const again = text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.slice(3, -5));
  if (again.length !== lines.length || again.some((line, i) => upper(line) !== lines[i])) {
    return no('ticket-malformed', 'this is no ticket as Sluice writes it: one gap has one spelling');
  }
  return ok({ gap, message: messageOf(body), signature });
}

const numberOf = (word: string | undefined, most: number): number | undefined => {
  if (word === undefined || !/^(0|[1-9]\d{0,15})$/.test(word)) return undefined;
  const number = Number(word);
  return number <= most ? number : undefined;
};

/** A range, or undefined for a word that is none. */
function rangeOf(word: string, most: number): BlockRange | undefined {
  const [from, to = from, ...rest] = word.split('-');
  const [first, last] = [numberOf(from, most), numberOf(to, most)];
  return first === undefined || last === undefined || last < first || rest.length > 0 ? undefined : [first, last];
}

/** Reads words from the front while they are what is wanted. */
function ranges(words: string[], most: number): BlockRange[] | undefined {
  const found: BlockRange[] = [];
  for (let word = words[0]; word !== undefined && /^\d+(-\d+)?$/.test(word); word = words[0]) {
    const range = rangeOf(word, most);
    if (range === undefined || range[0] <= (found.at(-1)?.[1] ?? -2) + 1) return undefined;
    found.push(range);
    words.shift();
  }
  return found.length === 0 ? undefined : found;
}

function gapOf([title, version, upper = '', sequenceWord, ...words]: string[]): Gap | undefined {
  const channel = upper.toLowerCase();
  const sequence = numberOf(sequenceWord, Number.MAX_SAFE_INTEGER) ?? 0;
  if (title !== 'SLUICE-TICKET' || version !== '1' || !CHANNEL.test(channel) || sequence === 0) return undefined;
  const none = { channel, sequence, symbolBytes: 0, maxBlock: 0 };
  if (words[0] === 'ALL') return words.length === 1 ? { ...none, objects: 'all' } : undefined;
  const objects: ObjectGap[] = [];
  if (words[0] === 'WHOLE') {
    words.shift();
    const whole = ranges(words, OBJECT_MAX);
    if (whole === undefined) return undefined;
    // As ranges: a line of a ticket may ask for half a million objects.
    for (const [object, to] of whole) objects.push({ object, ...(to > object ? { to } : {}), blocks: 'all' });
  }
  const shape = words.length === 0 ? none : blocksInto(objects, words);
  if (shape === undefined || objects.length === 0) return undefined;
  objects.sort((a, b) => a.object - b.object);
  const isTwice = objects.some((each, i) => each.object <= lastOf(objects[i - 1] ?? { object: -1, blocks: 'all' }));
  return isTwice ? undefined : { ...none, ...shape, objects };
}

/** The part from BLOCKS on. */
function blocksInto(
  objects: ObjectGap[],
  words: string[],
): { readonly symbolBytes: number; readonly maxBlock: number } | undefined {
  const [title, e = '', b = ''] = words.splice(0, 3);
  const symbolBytes = e.startsWith('E') ? numberOf(e.slice(1), 8896) : undefined;
  const maxBlock = b.startsWith('B') ? numberOf(b.slice(1), 250) : undefined;
  if (title !== 'BLOCKS' || symbolBytes === undefined || maxBlock === undefined || words.length === 0) return undefined;
  while (words.length > 0) {
    const word = words.shift() ?? '';
    const object = word.endsWith(':') ? numberOf(word.slice(0, -1), OBJECT_MAX) : undefined;
    const blocks = ranges(words, BLOCK_MAX);
    if (object === undefined || blocks === undefined) return undefined;
    objects.push({ object, blocks });
  }
  return { symbolBytes, maxBlock };
}
