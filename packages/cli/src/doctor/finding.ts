/** `unknown` could not be looked at; neither it nor a warning keeps a daemon from starting. */
export type Level = 'ok' | 'unknown' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Finding {
  /** Stable name, such as `link:carrier`. */
  readonly check: string;
  readonly level: Level;
  /** What is so. */
  readonly what: string;
  /** Why it matters; for what is not ok. */
  readonly why?: string;
  /** The command that mends it, or that looks closer. */
  readonly command?: string;
}

export const ok = (check: string, what: string): Finding => ({ check, level: 'ok', what });
export const unknown = (check: string, what: string, command?: string): Finding => ({
  ...{ check, level: 'unknown', what, why: 'it could not be looked at' },
  ...(command === undefined ? {} : { command }),
});
export const warn = (check: string, what: string, why: string, command: string): Finding => ({
  ...{ check, level: 'warn', what, why, command },
});
export const fail = (check: string, what: string, why: string, command: string): Finding => ({
  ...{ check, level: 'fail', what, why, command },
});

/** `ok` when it holds, else the finding made of the rest. */
export const either = (
  holds: boolean,
  good: readonly [check: string, what: string],
  bad: (check: string) => Finding,
): Finding => (holds ? ok(...good) : bad(good[0]));

export function countLevels(findings: readonly Finding[]): Record<Level, number> {
  const counts = { ok: 0, unknown: 0, warn: 0, fail: 0 };
  for (const { level } of findings) counts[level] += 1;
  return counts;
}

const COLUMN = 26;

/** Lines for people. */
export function inWords(findings: readonly Finding[]): string[] {
  const lines = findings.flatMap(({ check, level, what, why, command }) => [
    `${level.padEnd(8)}${check.padEnd(COLUMN)}${what}`,
    ...(why === undefined || level === 'unknown' ? [] : [`${''.padEnd(8)}${'  why'.padEnd(COLUMN)}${why}`]),
    ...(command === undefined ? [] : [`${''.padEnd(8)}${'  mend'.padEnd(COLUMN)}${command}`]),
  ]);
  const { ok: good, unknown: blind, warn: warnings, fail: failures } = countLevels(findings);
  const total = `${String(good)} ok, ${String(warnings)} to look at, ${String(failures)} wrong, ${String(blind)} not known`;
  return [...lines, total];
}
