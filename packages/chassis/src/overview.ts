import type { HealthReport } from './health.ts';

/** How bad something is: it decides the mark beside it. `busy` is good, and something is under way. */
export type Level = 'good' | 'busy' | 'warn' | 'bad' | 'unknown';

/** What the status page shows. Sentences are made here, where they can be tested; the page puts them in their places. */
export interface Overview {
  readonly side: 'sender' | 'receiver';
  /** By the local clock, for people. */
  readonly time: string;
  readonly uptimeSeconds: number;
  /** The age of the latest bundle that went the whole way by itself; undefined where there is no canary. */
  readonly canary?: { readonly level: Level; readonly age: string; readonly detail: string };
  /** The link in one glance. */
  readonly link: { readonly level: Level; readonly state: string; readonly detail: string };
  /** What each channel is at. */
  readonly channels: readonly ChannelView[];
  readonly rates: Rates;
  /** How close blocks came to failing; undefined where nobody can know. */
  readonly margin?: MarginView | undefined;
  readonly flight: readonly FlightView[];
  /** Bundles in flight that are not shown. */
  readonly flightMore: number;
  readonly missing: readonly MissingView[];
  readonly queue: readonly Fact[];
  readonly recent: readonly RecentView[];
  readonly refusals: readonly RefusalView[];
  readonly health: HealthReport;
  /** The other side, as far as it can be known here. */
  readonly far: { readonly level: Level; readonly state: string; readonly facts: readonly Fact[] };
}

export interface Fact {
  readonly name: string;
  readonly value: string;
  readonly level?: Level | undefined;
}

export interface ChannelView {
  readonly name: string;
  readonly level: Level;
  readonly state: string;
}

/** One value a step, oldest first; the last step is the latest that is over. */
export interface Rates {
  readonly stepSeconds: number;
  readonly unit: 'bit/s' | 'datagrams/s';
  readonly carried: readonly number[];
  /** Datagrams lost a second; empty where nobody can know. */
  readonly lost: readonly number[];
  /** Of all datagrams in these steps, 0 to 1. */
  readonly lostShare?: number | undefined;
}

export interface MarginView {
  /** Symbols beyond need of the worst block of each latest object, sorted into counts of `0`, `1-3`, ... */
  readonly buckets: readonly { readonly label: string; readonly count: number }[];
  readonly level: Level;
  readonly state: string;
}

export interface FlightView {
  readonly bundle: string;
  readonly channel: string;
  readonly sequence: number;
  readonly name: string;
  readonly state: string;
  /** Undefined while nothing of it moves. */
  readonly doneBytes?: number | undefined;
  readonly totalBytes: number;
  readonly etaSeconds?: number | undefined;
}

/** A bundle that is not under way. */
export interface RecentView {
  readonly bundle: string;
  readonly channel: string;
  readonly sequence: number;
  readonly name: string;
  readonly level: Level;
  readonly state: string;
  readonly time: string;
}

export interface MissingView {
  readonly channel: string;
  /** In words: `4, 7 to 9`. */
  readonly sequences: string;
  /** `4: platform 2026.11`, of the first few whose name is known. */
  readonly names: readonly string[];
  readonly count: number;
  /** What a person types to ask for them; empty where tickets are switched off. */
  readonly command: string;
}

export interface RefusalView {
  readonly time: string;
  readonly what: string;
  readonly code: string;
  readonly detail: string;
}

/** Bundles shown in flight, others, and refusals. */
export const FLIGHT_SHOWN = 20;
export const RECENT_SHOWN = 10;
export const REFUSALS_SHOWN = 10;

/** `1, 4 to 6`: runs of numbers in words, at most `most` of them. */
export function runs(numbers: readonly number[], most = 12): string {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else found.push([number, number]);
  }
  const words = found.slice(0, most).map(([from, to]) => (from === to ? String(from) : `${from} to ${to}`));
  return found.length > most ? `${words.join(', ')} and more` : words.join(', ');
}

/** How much a counter grew in each of the latest steps. */
export class History {
  readonly #steps: number;
  readonly #grown: number[][];
  #last: readonly number[] | undefined;

  /** @param series counters that are sampled together. */
  constructor(series: number, steps: number) {
    this.#steps = steps;
    this.#grown = Array.from({ length: series }, () => []);
  }

  /** The counters now. When the first fell, the process that counts was begun anew. */
  sample(counters: readonly number[]): void {
    const last = this.#last;
    this.#last = counters;
    if (last === undefined) return;
    const anew = (counters[0] ?? 0) < (last[0] ?? 0);
    this.#grown.forEach((grown, i) => {
      grown.push(Math.max(0, (counters[i] ?? 0) - (anew ? 0 : (last[i] ?? 0))));
      if (grown.length > this.#steps) grown.shift();
    });
  }

  series(index: number): readonly number[] {
    return this.#grown[index] ?? [];
  }
}

/** How fast things under way get on, over the last while: seconds that are left. */
export class Pace {
  readonly #seen = new Map<string, { at: number; done: number }[]>();
  static readonly WINDOW_MS = 15_000;

  /** Seconds left; undefined while it stands, or is too new. Things not asked after for a while are forgotten. */
  eta(id: string, done: number, total: number, now: number = performance.now()): number | undefined {
    for (const [each, [first]] of this.#seen) {
      if (each !== id && first !== undefined && now - first.at > 4 * Pace.WINDOW_MS) this.#seen.delete(each);
    }
    const seen = this.#seen.get(id)?.filter(({ at }) => now - at <= Pace.WINDOW_MS) ?? [];
    const [first] = seen;
    if (seen.at(-1)?.at !== now) seen.push({ at: now, done });
    this.#seen.set(id, seen);
    if (first === undefined || now - first.at < 1000 || done <= first.done) return undefined;
    return ((total - done) * (now - first.at)) / 1000 / (done - first.done);
  }
}

/** The counts of numbers by size. */
export function buckets(numbers: readonly number[]): MarginView['buckets'] {
  const counts = BUCKETS.map(({ label, from, to }) => ({
    label,
    count: numbers.filter((each) => each >= from && each <= to).length,
  }));
  return counts;
}

const BUCKETS = [
  { label: '0', from: 0, to: 0 },
  { label: '1 to 3', from: 1, to: 3 },
  { label: '4 to 7', from: 4, to: 7 },
  { label: '8 to 15', from: 8, to: 15 },
  { label: '16 or more', from: 16, to: Infinity },
] as const;

/** A stretch of time in words: `42 s`, `7 min`, `3.5 h`, `2 days`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${String(Math.round(seconds))} s`;
  if (seconds < 5400) return `${String(Math.round(seconds / 60))} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${String(Math.round(seconds / 86_400))} days`;
}
