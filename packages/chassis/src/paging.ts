import { HttpProblem } from './problem.ts';

/** Items on one page. */
export const PAGE_LIMIT_DEFAULT = 50;
export const PAGE_LIMIT_MAX = 200;
const CURSOR = /^[A-Za-z0-9_.~-]{1,128}$/;

export interface PageRequest {
  readonly limit: number;
  /** Where to go on: the `next` of the page before, undefined for the first. Opaque to the caller, hostile to us. */
  readonly cursor: string | undefined;
}

export interface Page {
  readonly items: readonly unknown[];
  /** Cursor of the next page (URL-safe, at most 128 characters), undefined on the last. */
  readonly next?: string | undefined;
}

/** `limit` and `cursor` of a query. @throws HttpProblem 400 */
export function pageRequest(query: unknown): PageRequest {
  const { limit, cursor, ...others } = query as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new HttpProblem(400, `There is no query parameter "${other}"; use limit and cursor.`);
  const count =
    limit === undefined ? PAGE_LIMIT_DEFAULT : typeof limit === 'string' && /^\d{1,6}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > PAGE_LIMIT_MAX) {
    throw new HttpProblem(400, `limit must be a number from 1 to ${String(PAGE_LIMIT_MAX)}.`);
  }
  if (cursor !== undefined && !(typeof cursor === 'string' && CURSOR.test(cursor))) {
    throw new HttpProblem(400, 'cursor is not one that this service gave out; begin without it.');
  }
  return { limit: count, cursor };
}
