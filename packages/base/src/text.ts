import { hostile, terminalText } from '@sluice/ports';

/** Longest string that goes into a log line, a status text or an error sentence, in UTF-16 units. */
export const LOG_TEXT_MAX = 2048;

/** Text of foreign origin in one line for a status text or an error sentence: line ends become spaces, no controls, at most `max` characters. */
export const oneLine = (text: string, max: number = LOG_TEXT_MAX): string =>
  clip(terminalText(hostile(text.replace(/[\t\r\n\u2028\u2029]+/g, ' '), Infinity)), max);

/** At most `max` characters; says how many were left out. */
export const clip = (text: string, max: number = LOG_TEXT_MAX): string =>
  text.length <= max ? text : `${text.slice(0, max)}... (${String(text.length - max)} more)`;
