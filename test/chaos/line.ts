export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The straight line that fits best (least squares): its slope and the standard error of that, units of `y` in one of `x`. */
export function lineThrough(points: readonly Point[]): { readonly slope: number; readonly error: number } {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [mx, my] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const over = points.reduce((sum, { x }) => sum + (x - mx) ** 2, 0);
  if (over === 0 || points.length < 3) return { slope: 0, error: Infinity };
  const slope = points.reduce((sum, { x, y }) => sum + (x - mx) * (y - my), 0) / over;
  const left = points.reduce((sum, { x, y }) => sum + (y - my - slope * (x - mx)) ** 2, 0);
  return { slope, error: Math.sqrt(left / (points.length - 2) / over) };
}

/** True when a line grows by more than `most`, and not by the scatter of its points alone: in 39 of 40 cases. */
export const grows = ({ slope, error }: { readonly slope: number; readonly error: number }, most: number): boolean =>
  slope - 2 * error > most;
