/** Longest string that goes into a log line, a status text or an error sentence, in UTF-16 units. */
export const LOG_TEXT_MAX = 2048;

// Controls (C0 without its JSON escapes, DEL, C1), line separators and bidirectional marks: they can drive or fool a terminal.
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
// eslint's no-control-regex would refuse a class that begins at U+0000; \p{Cc} says the same.
const CONTROL = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+/gu;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Escapes what JSON leaves as it is though a terminal would obey it. The result is the same JSON value. */
export const escapeJsonLine = (json: string): string => json.replace(UNSAFE, escaped);

/** Text of foreign origin in one line for a status text or an error sentence: no controls, at most `max` characters. */
export const oneLine = (text: string, max: number = LOG_TEXT_MAX): string => clip(text.replace(CONTROL, ' '), max);

/** At most `max` characters; says how many were left out. */
export const clip = (text: string, max: number = LOG_TEXT_MAX): string =>
  text.length <= max ? text : `${text.slice(0, max)}... (${String(text.length - max)} more)`;
