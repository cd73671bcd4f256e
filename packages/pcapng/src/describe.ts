// What a chunk log says of itself: at its head, and in the statistics at its end.
import { open } from 'node:fs/promises';
import { INTERFACE_STATISTICS, OPT_COMMENT, SECTION_HEADER } from './blocks.ts';
import { type InterfaceCounts, option, statisticsOf } from './section.ts';

const HEAD_BYTES = 64 * 1024;
const TAIL_BYTES = 4096;
/** Body of a Section Header Block before its options. */
const SECTION_FIXED = 16;

export interface LogDescription {
  /** The section's comment. Hostile text where the file may be anyone's. */
  readonly comment: string | undefined;
  /** Sums over the interfaces; undefined for a file without an end. */
  readonly statistics: InterfaceCounts | undefined;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Reads the two ends of a chunk log of ours (little-endian, one section). Total on any file. */
export async function describeLog(path: string): Promise<LogDescription> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const head = new Uint8Array(Math.min(HEAD_BYTES, size));
    await file.read(head, 0, head.length, 0);
    const tail = new Uint8Array(Math.min(TAIL_BYTES, size));
    await file.read(tail, 0, tail.length, size - tail.length);
    return { comment: commentIn(head), statistics: sumOf(tail) };
  } finally {
    await file.close();
  }
}

function commentIn(head: Uint8Array): string | undefined {
  if (head.length < 12 || viewOf(head).getUint32(0, true) !== SECTION_HEADER) return undefined;
  const total = Math.min(viewOf(head).getUint32(4, true), head.length);
  if (total < 12 + SECTION_FIXED) return undefined;
  const found = option(viewOf(head.subarray(8, total - 4)), SECTION_FIXED, OPT_COMMENT, true);
  if (found === undefined) return undefined;
  return new TextDecoder().decode(new Uint8Array(found.buffer, found.byteOffset, found.byteLength));
}

/** The statistics blocks with which the file ends, backwards. */
function sumOf(tail: Uint8Array): InterfaceCounts | undefined {
  let sum: InterfaceCounts | undefined;
  for (let end = tail.length; end >= 12;) {
    const length = viewOf(tail).getUint32(end - 4, true);
    const start = end - length;
    if (length < 12 || start < 0 || viewOf(tail).getUint32(start, true) !== INTERFACE_STATISTICS) break;
    const counts = statisticsOf(tail.subarray(start + 8, end - 4), true);
    if (counts === undefined) break;
    sum = sum === undefined ? counts : added(sum, counts);
    end = start;
  }
  return sum;
}

const added = (a: InterfaceCounts, b: InterfaceCounts): InterfaceCounts => ({
  startNs: a.startNs < b.startNs ? a.startNs : b.startNs,
  endNs: a.endNs > b.endNs ? a.endNs : b.endNs,
  received: a.received + b.received,
  droppedByLog: a.droppedByLog + b.droppedByLog,
  droppedByKernel: a.droppedByKernel + b.droppedByKernel,
  written: a.written + b.written,
});
