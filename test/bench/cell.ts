/** A measurement, repeated in turn with the others. */
export interface Cell {
  readonly name: string;
  /** True until it has its runs, or has given up. */
  readonly wanting: boolean;
  /** Why it has no figures. */
  readonly failure: string | undefined;
  /** One run. What goes wrong is kept as `failure`. */
  measure(): Promise<void>;
}

/** What the cells share. */
export interface Context {
  readonly base: string;
  readonly keysFrom: string;
  readonly rounds: number;
  readonly keep: boolean;
  readonly say: (text: string) => void;
}

export const reason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, 2000);
