import type { DatabaseSync } from 'node:sqlite';

/** Which bundles of a ledger are wanted; all without one. */
export interface BundleFilter {
  readonly state?: string | undefined;
  readonly channel?: string | undefined;
}

/** What `of` makes of the rows of the table `bundles`, latest first, from below the number `before`; `next` is where the next page begins. */
export function bundlePage<Bundle>(
  database: DatabaseSync,
  of: (row: never) => Bundle,
  limit: number,
  before = Number.MAX_SAFE_INTEGER,
  { state, channel }: BundleFilter = {},
): { readonly bundles: readonly Bundle[]; readonly next: number | undefined } {
  const wanted = [
    'number < :before',
    ...(state === undefined ? [] : ['state = :state']),
    ...(channel === undefined ? [] : ['channel = :channel']),
  ];
  const rows = database
    .prepare(`SELECT * FROM bundles WHERE ${wanted.join(' AND ')} ORDER BY number DESC LIMIT :limit`)
    .all({
      before,
      limit,
      ...(state === undefined ? {} : { state }),
      ...(channel === undefined ? {} : { channel }),
    });
  const last = rows.length === limit ? rows.at(-1) : undefined;
  return { bundles: (rows as never[]).map(of), next: last === undefined ? undefined : Number(last.number) };
}
