/** What a case found, by name, in the order in which it is printed. */
export type Figures = Record<string, string | number | boolean>;

export interface Settings {
  /** How long the soak lasts. */
  readonly minutes: number;
}

/** One line of the table that the pair is held to. It throws when what must hold does not. */
export interface ChaosCase {
  readonly name: string;
  /** What is done, and what must come of it. */
  readonly about: string;
  readonly run: (figures: Figures, settings: Settings) => Promise<void>;
}

/** What must hold, said in a sentence where it does not. */
export function must(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Error(sentence);
}

/** Both as JSON, when they differ. */
export function mustEqual(seen: unknown, wanted: unknown, what: string): void {
  const [left, right] = [JSON.stringify(seen), JSON.stringify(wanted)];
  must(left === right, `${what}: ${left}, and not ${right}`);
}

/** Seconds since a moment of `performance.now()`, to a tenth. */
export const secondsSince = (started: number): number => Math.round((performance.now() - started) / 100) / 10;
