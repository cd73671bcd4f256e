/**
 * Slot of each symbol in a group's order of departure (PROTOCOL.md I-1): block b's n symbols are spread evenly over
 * the group, and blocks are shifted against each other, so that a burst takes from each block in proportion.
 *
 * @param counts symbols of each block
 * @returns for each block, the slots of its symbols in the order they were given; the slots are 0 to sum(counts) - 1
 */
export function interleave(counts: readonly number[]): Uint32Array[] {
  const groups = counts.length;
  const first = counts[0] ?? 0;
  if (counts.every((count) => count === first)) {
    return counts.map((count, block) => Uint32Array.from({ length: count }, (_, j) => j * groups + block));
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  // One sortable number for each symbol: its ideal place in 27 bits, then its running index in 25.
  const keys = new Float64Array(total);
  let index = 0;
  counts.forEach((count, block) => {
    const phase = (block + 0.5) / groups;
    for (let j = 0; j < count; j += 1) {
      keys[index] = Math.floor(((j + phase) / count) * 2 ** 27) * 2 ** 25 + index;
      index += 1;
    }
  });
  keys.sort();
  const slotOf = new Uint32Array(total);
  keys.forEach((key, slot) => {
    slotOf[key % 2 ** 25] = slot;
  });
  let start = 0;
  return counts.map((count) => {
    const slots = slotOf.subarray(start, start + count);
    start += count;
    return slots;
  });
}

/** Symbols that one outage may take from a block with m repair symbols: half of those, and one where there is only one. */
const spare = (m: number): number => Math.max(1, Math.floor(m / 2));

/**
 * Shortest airtime in nanoseconds in which a block's n = k + m evenly spread symbols lose at most half the repair
 * to one outage of `outageNs` (PROTOCOL.md I-1).
 */
export const shortestAirtime = (k: number, m: number, outageNs: number): number =>
  m === 0 ? 0 : ((k + m) * outageNs) / spare(m);

/**
 * Shortest time in nanoseconds from slot to slot at which that holds for the slots a block was given: blocks of several
 * lengths are spread evenly but for a few slots.
 */
export function shortestSpacing(slots: Uint32Array, m: number, outageNs: number): number {
  if (m === 0) return 0;
  const most = spare(m);
  let least = Infinity;
  for (let i = most; i < slots.length; i += 1) least = Math.min(least, (slots[i] ?? 0) - (slots[i - most] ?? 0));
  return outageNs / least;
}
