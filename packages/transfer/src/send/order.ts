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

/**
 * Shortest airtime in nanoseconds in which a block's n = k + m evenly spread symbols lose at most half the repair
 * to one outage of `outageNs` (PROTOCOL.md I-1).
 */
export const shortestAirtime = (k: number, m: number, outageNs: number): number =>
  m === 0 ? 0 : (2 * (k + m) * outageNs) / m;
