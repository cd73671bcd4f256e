import { UsageError } from './arguments.ts';

const SIZES = { B: 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };
const TIMES = { us: 1e-3, ms: 1, s: 1e3, min: 6e4, h: 3.6e6 };
const RATES = { k: 1e3, M: 1e6, G: 1e9 };

/** `20G`, `20GB`, `512MiB`: bytes. */
export const sizeOf = (text: string, option: string): number =>
  Math.round(quantity(text, option, SIZES, (unit) => unit.replace(/B$/, '') || 'B', 'a size such as 20G or 512MiB'));

/** `20ms`, `3s`: milliseconds. */
export const timeOf = (text: string, option: string): number =>
  quantity(text, option, TIMES, (unit) => unit, 'a time such as 20ms or 3s');

/** `1G`, `500Mbit/s`: bits per second. */
export const rateOf = (text: string, option: string): number =>
  quantity(text, option, RATES, (unit) => unit.replace(/bit\/s$/, ''), 'a rate such as 1G or 500Mbit/s');

/** `1%` or `0.01`: a share, below 1. */
export function shareOf(text: string, option: string): number {
  const [, number, percent] = /^(\d{1,3}(?:\.\d{1,9})?)(%?)$/.exec(text) ?? [];
  const share = Number(number) / (percent === '%' ? 100 : 1);
  if (share >= 0 && share < 1) return share;
  throw new UsageError(`--${option} takes a share such as 1% or 0.01, less than all; it is "${text}"`);
}

export function wholeOf(text: string, option: string, min: number, max: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new UsageError(`--${option} takes a whole number, ${String(min)} to ${String(max)}; it is "${text}"`);
}

function quantity(
  text: string,
  option: string,
  units: Readonly<Record<string, number>>,
  base: (unit: string) => string,
  words: string,
): number {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z/]*)$/.exec(text) ?? [];
  const name = base(unit);
  const factor = Object.hasOwn(units, name) ? units[name] : undefined;
  const value = Number(number) * (factor ?? NaN);
  if (value >= 0) return value;
  throw new UsageError(`--${option} takes ${words}; it is "${text}"`);
}
