/** What `sluice replay --json` and `sluice impact --json` print, as far as tests look at it. */
export interface Report {
  readonly problems: readonly string[];
  readonly tagsChecked: boolean;
  readonly datagrams: number;
  readonly lost: number;
  readonly recorded: Readonly<Record<'same' | 'need' | 'differing' | 'unrecorded' | 'unheld', number>>;
  readonly differences: Readonly<Record<string, number>>;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly objects: readonly { readonly digest: string; readonly state: string; readonly channel: string }[];
}

export interface FullReport extends Report {
  readonly duplicates: number;
  readonly reordered: number;
  readonly bursts: Readonly<Record<string, number>>;
  readonly timeline: {
    readonly steps: readonly { readonly time: string; readonly counts: Readonly<Record<string, number>> }[];
  };
  readonly blockSums: { readonly byLost: Readonly<Record<string, number>> };
  readonly bundles: readonly {
    readonly name: string;
    readonly whole: number;
    readonly objects: number;
    readonly ledger: { readonly state: string; readonly agrees: boolean };
  }[];
}

export interface Impact {
  readonly sequence: number;
  readonly artifacts: readonly {
    readonly type: string;
    readonly sites: readonly { readonly site: string }[];
    readonly places: readonly { readonly target: string; readonly now: string; readonly isCurrent: boolean }[];
  }[];
}

/** Digests of all objects that became whole, by a log of link that has objects one by one. */
export const objectsIn = (log: string): string[] =>
  log
    .split('\n')
    .filter((line) => line.includes('"msg":"object whole"'))
    .map((line) => (JSON.parse(line) as { object: string }).object);
