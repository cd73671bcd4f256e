import { HttpProblem } from './problem.ts';

/** Items on one page. */
export const PAGE_LIMIT_DEFAULT = 50;
export const PAGE_LIMIT_MAX = 200;
const CURSOR = /^[A-Za-z0-9_.~-]{1,128}$/;

/** Query parameters that narrow a list: each with the values it may have. */
export type Filters = Readonly<Record<string, readonly string[]>>;

export interface PageRequest {
  readonly limit: number;
  /** Where to go on: the `next` of the page before, undefined for the first. Opaque to the caller, hostile to us. */
  readonly cursor: string | undefined;
  /** Of the filters those that were given. */
  readonly filters: Readonly<Record<string, string>>;
}

export interface Page {
  readonly items: readonly unknown[];
  /** Cursor of the next page (URL-safe, at most 128 characters), undefined on the last. */
  readonly next?: string | undefined;
}

/** `limit`, `cursor` and filters of a query. @throws HttpProblem 400 */
export function pageRequest(query: unknown, known: Filters = {}): PageRequest {
  const { limit, cursor, ...others } = query as Readonly<Record<string, unknown>>;
  const filters = Object.entries(others).map(([name, value]) => filterOf(name, value, known));
  const count =
    limit === undefined ? PAGE_LIMIT_DEFAULT : typeof limit === 'string' && /^\d{1,6}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > PAGE_LIMIT_MAX) {
    throw new HttpProblem(400, `limit must be a number from 1 to ${String(PAGE_LIMIT_MAX)}.`);
  }
  if (cursor !== undefined && !(typeof cursor === 'string' && CURSOR.test(cursor))) {
    throw new HttpProblem(400, 'cursor is not one that this service gave out; begin without it.');
  }
  return { limit: count, cursor, filters: Object.fromEntries(filters) };
}

function filterOf(name: string, value: unknown, known: Filters): readonly [string, string] {
  const allowed = Object.hasOwn(known, name) ? known[name] : undefined;
  if (allowed === undefined) {
    const use = ['limit', 'cursor', ...Object.keys(known)].join(', ');
    throw new HttpProblem(400, `There is no query parameter "${name}"; use ${use}.`);
  }
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new HttpProblem(400, `${name} must be one of ${allowed.join(', ')}.`);
  return [name, found];
}
