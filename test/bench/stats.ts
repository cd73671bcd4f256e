/** The middle value; of an even number of values the lower of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error('no values, no median');
  return middle;
}

export const mbps = (bytes: number, seconds: number): number => (bytes * 8) / seconds / 1e6;

export const GIB = 2 ** 30;
export const MIB = 2 ** 20;

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB: MIB, GiB: GIB };

/** Bytes of a text such as `64MiB`. */
export function parseBytes(text: string): number {
  const match = /^(\d+) ?([A-Za-z]*)$/.exec(text);
  const unit = UNITS[match?.[2] ?? 'none'];
  if (match === null || unit === undefined) throw new Error(`"${text}" is no size; write one such as 64MiB`);
  return Number(match[1]) * unit;
}

export const printBytes = (bytes: number): string =>
  bytes >= GIB ? `${String(bytes / GIB)}GiB` : bytes >= MIB ? `${String(bytes / MIB)}MiB` : `${String(bytes)}B`;
