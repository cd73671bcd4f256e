import type { PassKind, PassOrder } from './types.ts';

/** How often a bundle is sent, and for how long. Gaps are nanoseconds or milliseconds: whatever the caller counts in. */
export interface Schedule {
  /** Full passes. */
  readonly passes: number;
  /** Top-up passes after them. */
  readonly topUps: number;
  /** From the end of one full pass to the start of the next; it doubles with each pass after those. */
  readonly gap: number;
  /** Longest gap. */
  readonly longestGap: number;
  /** How many bundles of the channel later a bundle is sent no more, and its tickets are refused. */
  readonly timeToLive: number;
}

/** What the pass after `done` of them brings: everything, then repair symbols, then the statements alone (PROTOCOL.md I-5). */
export function kindAfter(done: number, { passes, topUps }: Schedule): PassKind {
  if (done < passes) return 'full';
  return done < passes + topUps ? 'top-up' : 'statements';
}

/** How long after the end of pass `done` the next one begins. */
export const gapAfter = (done: number, { passes, gap, longestGap }: Schedule): number =>
  Math.min(longestGap, gap * 2 ** Math.max(0, Math.min(done - passes + 1, 40)));

/** True while a bundle is still sent, and its tickets served: until `timeToLive` bundles of its channel came after it. */
export const isAlive = (sequence: number, head: number, { timeToLive }: Pick<Schedule, 'timeToLive'>): boolean =>
  head - sequence < timeToLive;

/** What a person asked for, then what was never sent, then what is sent again. */
const turnOf = ({ kind = 'full', pass }: PassOrder): number => (kind === 'repair' ? 0 : pass === 0 ? 1 : 2);

/**
 * True for a pass that leaves before another that came before it: repairs, then first passes, then repeats; of two of them
 * that of the higher priority. Of two repeats the later bundle. First passes keep the order of their sealing: were the later
 * one first, the older would be refused where versions count.
 */
export function isAhead(order: PassOrder, other: PassOrder): boolean {
  const [turn, othersTurn] = [turnOf(order), turnOf(other)];
  if (turn !== othersTurn) return turn < othersTurn;
  const [{ priority = 0, newness = 0 }, { priority: others = 0, newness: othersNewness = 0 }] = [order, other];
  if (priority !== others) return priority > others;
  return turn === 2 && newness > othersNewness;
}
