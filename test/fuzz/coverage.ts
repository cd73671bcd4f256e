// Which lines of a file have run, from V8's own counters: nothing is instrumented, and Node's type stripping moves nothing.
import { readFileSync } from 'node:fs';
import { Session, type Profiler } from 'node:inspector';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface FileLines {
  readonly file: string;
  /** Lines with code that runs. */
  readonly lines: number;
  readonly covered: number;
  /** Numbers of the lines that have not run, from 1. */
  readonly missing: readonly number[];
}

/** Counts from its start on. Start it before what is counted is imported. */
export class Coverage {
  readonly #session = new Session();
  readonly #top: string;

  /** @param top directory that names of files are relative to */
  constructor(top: string) {
    this.#top = top;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** The counts since the last call, by the URL of the script. */
  take(): Profiler.ScriptCoverage[] {
    let taken: Profiler.ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      taken = result;
    });
    return taken;
  }

  /** The lines of these files by the counts in `scripts`, without those of the functions `beside`. */
  lines(files: readonly string[], beside: readonly string[], scripts: readonly Profiler.ScriptCoverage[]): FileLines[] {
    return files.map((file) => {
      const url = pathToFileURL(join(this.#top, file)).href;
      const script = scripts.find((each) => each.url === url);
      if (script === undefined) throw new Error(`${file} is not loaded by its target`);
      return linesOf({ file, source: readFileSync(join(this.#top, file), 'utf8') }, script, beside);
    });
  }
}

/** A line counts when it has code of a function; it has run unless a range that never ran holds all of it. */
function linesOf(
  { file, source }: { readonly file: string; readonly source: string },
  script: Profiler.ScriptCoverage,
  beside: readonly string[],
): FileLines {
  const left = script.functions
    .filter(({ functionName }) => beside.includes(functionName))
    .map(({ ranges }) => ranges[0]);
  // Inner ranges come after the ones around them, and say more.
  const ranges = script.functions.flatMap((each) => each.ranges);
  ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  const code = codeLines(source).filter(
    ({ from, to }) => !left.some((range) => range !== undefined && range.startOffset <= to && range.endOffset >= from),
  );
  const missing: number[] = [];
  for (const { number, from, to } of code) {
    let count = 0;
    for (const range of ranges) if (range.startOffset <= from && range.endOffset >= to) count = range.count;
    if (count === 0) missing.push(number);
  }
  return { file, lines: code.length, covered: code.length - missing.length, missing };
}

interface Line {
  readonly number: number;
  readonly from: number;
  readonly to: number;
}

/** Import statements: nothing of them runs. */
const IMPORTS = /^(?:import|export)\b[^;'"]*(?:from )?'[^']*';$/gm;

/** The lines with code: what is left without types, imports and comments, brackets alone not counted. */
function codeLines(source: string): Line[] {
  const stripped = stripTypeScriptTypes(source).replace(IMPORTS, (text) => text.replace(/[^\n]/g, ' '));
  const lines: Line[] = [];
  let at = 0;
  let comment = false;
  for (const [index, text] of stripped.split('\n').entries()) {
    const words = text.trim();
    if (words.startsWith('/*')) comment = true;
    const says = !comment && !words.startsWith('//') && /[A-Za-z0-9]/.test(words);
    if (says) lines.push({ number: index + 1, from: at + text.indexOf(words), to: at + text.trimEnd().length });
    if (words.endsWith('*/')) comment = false;
    at += text.length + 1;
  }
  return lines;
}
