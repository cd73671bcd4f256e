import { jsonText } from '@sluice/ports';
import type { ReplayReport } from '../replay-report.ts';
import { HEAT_COLUMNS, HEAT_ROWS } from './blocks.ts';
import type { ReplayedBundle } from './bundles.ts';
import type { Watched } from './watch.ts';

/** Everything that the report shows, as numbers and words: what the JSON file holds. */
export interface FullReport extends ReplayReport {
  /** When this was made, of what, and what of it was looked at: who makes it again gets the same. */
  readonly made: {
    readonly time: string;
    readonly inputs: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
    /** Options that narrowed it down. */
    readonly selection: Readonly<Record<string, string>>;
  };
  readonly timeline: {
    readonly stepSeconds: number;
    readonly steps: readonly { readonly time: string; readonly counts: Readonly<Record<string, number>> }[];
  };
  /** Runs of datagrams lost in a row, by length. */
  readonly bursts: Readonly<Record<string, number>>;
  readonly reordered: number;
  readonly tooLate: number;
  readonly duplicates: number;
  readonly blockSums: {
    readonly blocks: number;
    readonly byLost: Readonly<Record<string, number>>;
    readonly byMargin: Readonly<Record<string, number>>;
  };
  /** Share of each symbol lost, a row for `rowBlocks` blocks in the order in which they came, null where none was sent. */
  readonly heat: { readonly rowBlocks: number; readonly rows: readonly (readonly (number | null)[])[] };
  readonly bundles: readonly (Omit<ReplayedBundle, 'name' | 'objects'> & {
    readonly name: string | undefined;
    readonly objects: number;
  })[];
}

const byNumber = (counts: ReadonlyMap<number, number>): Readonly<Record<string, number>> =>
  Object.fromEntries([...counts].toSorted(([a], [b]) => a - b).map(([number, count]) => [String(number), count]));

export function fullReport(
  report: ReplayReport,
  watched: Watched,
  bundles: readonly ReplayedBundle[],
  made: FullReport['made'],
): FullReport {
  const { stepNs, steps, bursts, late, tooLate, duplicates, blocks } = watched;
  return {
    ...report,
    made,
    timeline: {
      stepSeconds: stepNs / 1e9,
      steps: steps.map(({ at, counts }) => ({ time: new Date(at / 1e6).toISOString(), counts })),
    },
    bursts: byNumber(bursts),
    reordered: late,
    ...{ tooLate, duplicates },
    blockSums: { blocks: blocks.blocks, byLost: byNumber(blocks.byLost), byMargin: byNumber(blocks.byMargin) },
    heat: { rowBlocks: blocks.rowBlocks, rows: heatRows(watched) },
    bundles: bundles.map(({ name, objects, ...bundle }) => ({
      ...bundle,
      objects: objects.length,
      name: name === undefined ? undefined : jsonText(name),
    })),
  };
}

function heatRows({ blocks: { heat } }: Watched): (number | null)[][] {
  const rows = Array.from({ length: HEAT_ROWS }, (_, row) =>
    Array.from({ length: HEAT_COLUMNS }, (__, column) => {
      const at = row * HEAT_COLUMNS + column;
      const sent = heat.sent[at] ?? 0;
      return sent === 0 ? null : (heat.lost[at] ?? 0) / sent;
    }),
  );
  const isUsed = (row: readonly (number | null)[]): boolean => row.some((share) => share !== null);
  const last = rows.findLastIndex(isUsed);
  const columns = Math.max(0, ...rows.map((row) => row.findLastIndex((share) => share !== null) + 1));
  return rows.slice(0, last + 1).map((row) => row.slice(0, columns));
}
