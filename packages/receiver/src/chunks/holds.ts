import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const NAME = /^hold-[0-9TZ]+-[0-9TZ]+\.json$/;
const HOLD_BYTES = 4096;

/** A window of time that retention leaves alone, Unix milliseconds. It lies as a file beside the logs. */
export interface Hold {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

const compact = (ms: number): string => new Date(ms).toISOString().replaceAll(/[-:]|\.\d+/g, '');

/** `hold-20261124T081500Z-20261124T101500Z.json` */
export const holdName = (from: number, to: number): string => `hold-${compact(from)}-${compact(to)}.json`;

/** The holds of a directory. One that cannot be read holds everything: nothing is lost by a slip. */
export function holdsIn(directory: string): Hold[] {
  return readdirSync(directory)
    .filter((name) => NAME.test(name))
    .toSorted()
    .map((file) => {
      try {
        const text = readFileSync(join(directory, file), 'utf8').slice(0, HOLD_BYTES);
        const { from, to, reason } = JSON.parse(text) as Readonly<Record<string, unknown>>;
        const [begin, end] = [Date.parse(String(from)), Date.parse(String(to))];
        if (begin <= end) return { file, from: begin, to: end, reason: typeof reason === 'string' ? reason : '' };
      } catch {
        // As below.
      }
      return { file, from: -Infinity, to: Infinity, reason: 'unreadable' };
    });
}

export const isHeld = (holds: readonly Hold[], { from, to }: { readonly from: number; readonly to: number }): boolean =>
  holds.some((hold) => from <= hold.to && to >= hold.from);
