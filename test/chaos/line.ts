export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A slope and the standard error of it, units of `y` in one of `x`. */
export interface Line {
  readonly slope: number;
  readonly error: number;
}

/** The straight line that fits best (least squares); its error is infinite where fewer than three points, or one `x`, tell nothing. */
export function lineThrough(points: readonly Point[]): Line {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [mx, my] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const over = points.reduce((sum, { x }) => sum + (x - mx) ** 2, 0);
  if (over === 0 || points.length < 3) return { slope: 0, error: Infinity };
  const slope = points.reduce((sum, { x, y }) => sum + (x - mx) * (y - my), 0) / over;
  const left = points.reduce((sum, { x, y }) => sum + (y - my - slope * (x - mx)) ** 2, 0);
  return { slope, error: Math.sqrt(left / (points.length - 2) / over) };
}

/**
 * Whether a line keeps to `most`, said where the scatter of its points lets it be said: true or false with two standard errors between
 * the slope and `most` (right 39 times in 40), undefined where it lies nearer.
 */
export function keepsTo({ slope, error }: Line, most: number): boolean | undefined {
  if (slope + 2 * error <= most) return true;
  return slope - 2 * error > most ? false : undefined;
}

/** The same where no more points will come: a slope that is not known to half of `most` keeps to nothing. */
export const keptTo = (line: Line, most: number): boolean =>
  keepsTo(line, most) ?? (line.slope <= most && 2 * line.error <= most);
