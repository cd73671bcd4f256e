/**
 * Text that came over the wire or out of a file: names, tags, paths, error bodies of other services. It has a length limit,
 * and it is no string, so that it slips into no template: it leaves through one of the sinks below, one for each place
 * where text can do harm. (pcapng comments take none: they are codes.)
 */
export interface HostileText {
  readonly text: string;
}

export const HOSTILE_TEXT_MAX = 512;

/** Takes text from outside; what is beyond `limit` UTF-16 units is cut and marked. No character is cut in half. */
export function hostile(text: string, limit: number = HOSTILE_TEXT_MAX): HostileText {
  if (text.length <= limit) return { text };
  const half = isHighSurrogate(text.charCodeAt(limit - 1));
  return { text: `${text.slice(0, half ? limit - 1 : limit)}…` };
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

// What could move the cursor, hide or reorder text: control and format characters (bidirectional ones, joiners, tags), lone surrogates, private and
// unassigned characters, line and paragraph separators.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

const escaped = (character: string): string => {
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
};

/** Sink: a terminal, a status text, an error sentence. Each unprintable character is shown as an escape. */
export const terminalText = ({ text }: HostileText): string => text.replace(UNPRINTABLE, escaped);

/** Sink: a value within a JSON document. The document as a whole goes through `escapeJson`. */
export const jsonText = ({ text }: HostileText): string => text;

/**
 * Sink: a JSON document, for a log line or an answer. Escapes what JSON leaves as it is though a terminal would obey it; the
 * value is the same. C0 characters are left: in JSON they stand between tokens only.
 */
export const escapeJson = (json: string): string =>
  json.replace(UNPRINTABLE, (character) => (character < ' ' ? character : unitsOf(character)));

const unitsOf = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('');

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Sink: a text node or a quoted attribute of an HTML file. Markup is text there, and nothing reorders what is beside it. */
export const htmlText = (text: HostileText): string =>
  terminalText(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

/** Sink: a label of a metric. Only what is in the closed set stays itself, so that nobody outside makes time series. */
export const metricLabel = <L extends string>(text: string, known: readonly L[]): L | 'other' =>
  known.find((label) => label === text) ?? 'other';
