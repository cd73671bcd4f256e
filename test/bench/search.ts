export interface SearchOptions {
  /** The first rate that is tried. */
  readonly start: number;
  /** Steps up or down until one rate holds and one does not. */
  readonly factor: number;
  /** The search ends when the best rate that holds and the least that does not are this close. */
  readonly tolerance: number;
  /** Most tries. */
  readonly tries: number;
  /** No higher rate is tried. */
  readonly ceiling?: number;
}

/**
 * The highest rate found at which `holds` is true: up or down from the start by a factor, then halving what lies between,
 * on a logarithmic scale. Undefined when none of the tries held.
 */
export async function searchRate(
  holds: (rate: number) => Promise<boolean>,
  { start, factor, tolerance, tries, ceiling = Infinity }: SearchOptions,
): Promise<number | undefined> {
  let good: number | undefined;
  let bad: number | undefined;
  let rate = Math.min(start, ceiling);
  for (let i = 0; i < tries; i += 1) {
    if (await holds(rate)) good = rate;
    else bad = rate;
    if (good !== undefined && (good >= ceiling || (bad ?? Infinity) / good <= 1 + tolerance)) break;
    if (bad === undefined) rate = Math.min(rate * factor, ceiling);
    else rate = good === undefined ? rate / factor : Math.sqrt(good * bad);
  }
  return good;
}
