import type { FileLines } from './coverage.ts';

/** What `replay.ts` prints. */
export interface Replay {
  readonly target: string;
  readonly inputs: number;
  readonly bytes: number;
  readonly findings: readonly { readonly input: string; readonly error: string }[];
  readonly lines: readonly FileLines[];
}

/** The lines of all files of a target together. */
export function share({ lines }: Pick<Replay, 'lines'>): {
  readonly lines: number;
  readonly covered: number;
  readonly percent: number;
} {
  const sum = lines.reduce((all, file) => all + file.lines, 0);
  const covered = lines.reduce((all, file) => all + file.covered, 0);
  return { lines: sum, covered, percent: Math.floor((1000 * covered) / sum) / 10 };
}
