import { duration } from './words.ts';

/** How often a terminal is drawn to, and how often a line is written where there is none. */
const DRAW_MS = 100;
const LINE_MS = 10_000;
/** Over this while the rate is taken. */
const WINDOW_MS = 10_000;
const SAMPLE_MS = 50;
const BAR_WIDTH = 24;

/** Where progress is shown: standard error, so that standard output stays what it is. */
export interface Shown {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  /** What is done, in few words of ours. */
  readonly what: string;
  /** Of what it is so many: bytes are written with prefixes. */
  readonly unit?: 'B' | 'datagrams' | 'objects';
  readonly to?: Shown;
  readonly now?: () => number;
}

/**
 * Long work, on a terminal as a bar with rate and time left, elsewhere as a line now and then: none at all for work that is
 * over soon.
 */
export class Progress {
  readonly #what: string;
  readonly #unit: NonNullable<ProgressOptions['unit']>;
  readonly #to: Shown;
  readonly #now: () => number;
  #seen: { at: number; done: number }[] = [];
  #shownAt: number;
  #isDrawn = false;

  constructor({ what, unit = 'B', to = process.stderr, now = () => performance.now() }: ProgressOptions) {
    this.#what = what;
    this.#unit = unit;
    this.#to = to;
    this.#now = now;
    this.#shownAt = to.isTTY === true ? -Infinity : now();
  }

  /** `done` of `total` so far; the total may become known late, or grow. */
  at(done: number, total: number | undefined): void {
    const now = this.#now();
    // Told of each datagram, of a hundred thousand a second: no more is remembered than the rate needs.
    if (now - (this.#seen.at(-1)?.at ?? -Infinity) >= SAMPLE_MS) this.#seen.push({ at: now, done });
    // One before the window stays, so that there is a rate over all of it.
    while (this.#seen.length > 2 && now - (this.#seen[1]?.at ?? now) > WINDOW_MS) this.#seen.shift();
    if (now - this.#shownAt < (this.#to.isTTY === true ? DRAW_MS : LINE_MS)) return;
    this.#shownAt = now;
    const words = this.#words(done, total, now);
    if (this.#to.isTTY !== true) {
      this.#to.write(`${this.#what}: ${words}\n`);
      return;
    }
    const bar = total === undefined || total === 0 ? '' : `${barOf(done / total)} `;
    const line = `${this.#what} ${bar}${words}`;
    // A terminal that does not know its width says 0.
    const wide = this.#to.columns === undefined || this.#to.columns === 0 ? 80 : this.#to.columns;
    this.#to.write(`\r\u001b[K${line.slice(0, Math.max(20, wide - 1))}`);
    this.#isDrawn = true;
  }

  /** Takes the bar away: what comes next begins on a line of its own. */
  end(): void {
    if (this.#isDrawn) this.#to.write('\r\u001b[K');
    this.#isDrawn = false;
  }

  #words(done: number, total: number | undefined, now: number): string {
    const amount = (value: number): string => amountOf(value, this.#unit);
    const [first] = this.#seen;
    const span = (now - (first?.at ?? now)) / 1000;
    const rate = span <= 0 ? 0 : Math.max(0, done - (first?.done ?? 0)) / span;
    const left = total === undefined || rate === 0 || done >= total ? '' : `, ${duration((total - done) / rate)} left`;
    const speed = rate === 0 ? '' : `, ${amount(rate)}/s`;
    if (total === undefined) return `${amount(done)}${speed}`;
    const percent = total === 0 ? 100 : Math.floor((100 * Math.min(done, total)) / total);
    return `${String(percent)} %, ${amount(done)} of ${amount(total)}${speed}${left}`;
  }
}

/** As much of a bar as is done, in characters that every terminal has. */
export function barOf(share: number, width = BAR_WIDTH): string {
  const full = Math.floor(Math.min(1, Math.max(0, share)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}]`;
}

const PREFIXES = ['', 'k', 'M', 'G', 'T'];

/** `12.3 MB`, `450 kB`, `17 datagrams`. */
export function amountOf(value: number, unit: string): string {
  let [rest, step] = [value, 0];
  while (rest >= 1000 && step < PREFIXES.length - 1) [rest, step] = [rest / 1000, step + 1];
  const digits = rest < 100 && step > 0 ? 1 : 0;
  return `${rest.toFixed(digits)} ${PREFIXES[step] ?? ''}${unit}`;
}
