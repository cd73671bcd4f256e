import { basename, dirname } from 'node:path';
import { logNumber } from '@sluice/pcapng';

export interface Arranged {
  readonly files: readonly string[];
  /** One sentence for each gap in the numbers. */
  readonly gaps: readonly string[];
  /** Number of the first chunk log, undefined for other captures. */
  readonly first: number | undefined;
}

/**
 * Chunk logs of a directory in the order of their numbers: those hold, while the times in the names go back with the
 * clock. Where any other capture is among them, all stay in the order given.
 */
export function arrange(paths: readonly string[]): Arranged {
  const logs = paths.flatMap((path) => {
    const number = logNumber(basename(path));
    return number === undefined ? [] : [{ path, directory: dirname(path), number }];
  });
  if (logs.length < paths.length) return { files: paths, gaps: [], first: undefined };
  logs.sort((a, b) => (a.directory < b.directory ? -1 : a.directory > b.directory ? 1 : a.number - b.number));
  const gaps = logs.flatMap(({ directory, number, path }, i) => {
    const before = logs[i - 1];
    if (before?.directory !== directory || number <= before.number + 1) return [];
    const missing = numbers(before.number + 1, number - 1);
    return [`${missing} missing between ${basename(before.path)} and ${basename(path)}`];
  });
  return { files: logs.map(({ path }) => path), gaps, first: logs[0]?.number };
}

const numbers = (from: number, to: number): string =>
  from === to ? `chunk log ${String(from)} is` : `chunk logs ${String(from)} to ${String(to)} are`;
