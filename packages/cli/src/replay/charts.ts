import { hostile, htmlText } from '@sluice/ports';

/** Text into the report, whatever stands in it. */
export const text = (value: string | number): string => htmlText(hostile(String(value), 4096));

const WIDTH = 960;
const HEIGHT = 96;
const LEFT = 64;
const BOTTOM = 18;

export interface Series {
  /** What it shows, for people who do not see it. */
  readonly label: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** Class of its colour. */
  readonly colour: string;
}

/** A number as people read it: three digits, with a thousands' letter. */
export function short(value: number): string {
  for (const [size, letter] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${letter}`;
  }
  return value === Math.round(value) ? String(value) : value.toPrecision(3);
}

const frame = (label: string, height: number, body: string): string =>
  `<div class="wide" tabindex="0"><svg role="img" aria-label="${text(label)}" viewBox="0 0 ${String(WIDTH)} ${String(height)}">${body}</svg></div>`;

const fixed = (value: number): string => String(Math.round(value * 10) / 10);

/** Values over time as steps, with their greatest at the axis and two times below. */
export function stepChart({ label, unit, values, colour }: Series, [from, to]: readonly [string, string]): string {
  const most = values.reduce((top, value) => Math.max(top, value), 0);
  const [width, height] = [WIDTH - LEFT, HEIGHT - BOTTOM];
  const each = width / Math.max(1, values.length);
  const y = (value: number): string => fixed(height - (most === 0 ? 0 : (value / most) * (height - 8)));
  const line = values
    .map((value, i) => `L${fixed(LEFT + i * each)} ${y(value)}H${fixed(LEFT + (i + 1) * each)}`)
    .join('');
  const path = `M${String(LEFT)} ${String(height)}${line}V${String(height)}Z`;
  const words = `${label}, at most ${short(most)} ${unit}, from ${from} to ${to}`;
  return frame(
    words,
    HEIGHT,
    `<path class="${colour}" d="${path}"/><path class="axis" d="M${String(LEFT)} 0V${String(height)}H${String(WIDTH)}"/>` +
      `<text x="${String(LEFT - 6)}" y="14" text-anchor="end">${text(short(most))}</text>` +
      `<text x="${String(LEFT - 6)}" y="${String(height)}" text-anchor="end">0</text>` +
      `<text x="${String(LEFT)}" y="${String(HEIGHT - 3)}">${text(from)}</text>` +
      `<text x="${String(WIDTH)}" y="${String(HEIGHT - 3)}" text-anchor="end">${text(to)}</text>`,
  );
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly colour: string;
}

const BAR_HEIGHT = 150;

/** Upright bars, each with its name below and its number on top. */
export function barChart(label: string, bars: readonly Bar[]): string {
  const most = bars.reduce((top, { value }) => Math.max(top, value), 0);
  const each = Math.min(80, WIDTH / Math.max(1, bars.length));
  const floor = BAR_HEIGHT - BOTTOM;
  const drawn = bars.map(({ name, value, colour }, i) => {
    const height = most === 0 ? 0 : Math.max(value > 0 ? 1 : 0, (value / most) * (floor - 20));
    const [x, middle] = [i * each + 2, i * each + each / 2];
    return (
      `<rect class="${colour}" x="${fixed(x)}" y="${fixed(floor - height)}" width="${fixed(each - 4)}" height="${fixed(height)}"/>` +
      `<text x="${fixed(middle)}" y="${fixed(floor - height - 4)}" text-anchor="middle">${text(short(value))}</text>` +
      `<text x="${fixed(middle)}" y="${String(BAR_HEIGHT - 3)}" text-anchor="middle">${text(name)}</text>`
    );
  });
  const words = bars.map(({ name, value }) => `${name}: ${String(value)}`).join(', ');
  return frame(
    `${label}. ${words}`,
    BAR_HEIGHT,
    `${drawn.join('')}<path class="axis" d="M0 ${String(floor)}H${String(WIDTH)}"/>`,
  );
}

/** Shares from which on a cell has the next darker colour. */
export const HEAT_STEPS = [0.000001, 0.02, 0.05, 0.1, 0.25] as const;
const HEAT_ROW = 5;

/** Rows of shares, 0 to 1; undefined cells are empty. */
export function heatMap(label: string, rows: readonly (readonly (number | null)[])[]): string {
  const columns = rows.reduce((most, row) => Math.max(most, row.length), 1);
  const [width, left] = [(WIDTH - LEFT) / columns, LEFT];
  const paths = new Map<string, string[]>();
  const colour = (share: number | null | undefined): string =>
    share === null || share === undefined ? '' : `heat${String(HEAT_STEPS.filter((step) => share >= step).length)}`;
  for (const [y, row] of rows.entries()) {
    for (let x = 0; x < row.length;) {
      const name = colour(row[x]);
      let end = x + 1;
      while (end < row.length && colour(row[end]) === name) end += 1;
      const cell = `M${fixed(left + x * width)} ${String(y * HEAT_ROW)}H${fixed(left + end * width)}v${String(HEAT_ROW)}H${fixed(left + x * width)}z`;
      const cells = paths.get(name) ?? [];
      cells.push(cell);
      if (name !== '') paths.set(name, cells);
      x = end;
    }
  }
  const height = rows.length * HEAT_ROW;
  const drawn = [...paths].map(([name, cells]) => `<path class="${name}" d="${cells.join('')}"/>`);
  const axis =
    `<text x="${String(left)}" y="${String(height + 14)}">symbol 0</text>` +
    `<text x="${String(WIDTH)}" y="${String(height + 14)}" text-anchor="end">symbol ${String(columns - 1)}</text>` +
    `<text x="${String(left - 6)}" y="12" text-anchor="end">first</text>` +
    `<text x="${String(left - 6)}" y="${String(Math.max(12, height))}" text-anchor="end">${rows.length > 4 ? 'last' : ''}</text>`;
  return frame(label, height + BOTTOM, drawn.join('') + axis);
}
