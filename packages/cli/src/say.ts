import { escapeJson, hostile, terminalText } from '@sluice/ports';

/** Longest line for people. */
const LINE_MAX = 4096;

const fit = (line: string): string => `${terminalText(hostile(line, LINE_MAX))}\n`;

/** Prints lines for people: whatever stands in them, no terminal obeys it. */
export function say(...lines: readonly string[]): void {
  process.stdout.write(lines.map(fit).join(''));
}

/** Lines for people beside the output. */
export function tell(...lines: readonly string[]): void {
  process.stderr.write(lines.map(fit).join(''));
}

/** A note beside the output. */
export function note(text: string): void {
  process.stderr.write(fit(`note: ${text}`));
}

/** Prints a JSON document, as it is by value. */
export function sayJson(json: string): void {
  process.stdout.write(`${escapeJson(json.trim())}\n`);
}
