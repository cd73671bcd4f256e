import { closeSync, openSync, writeSync } from 'node:fs';
import { CaptureBlocks, readChunkLog } from '@sluice/pcapng';

export interface Slice {
  /** Unix milliseconds. */
  readonly from: number;
  readonly to: number;
  /** Longest slice. */
  readonly bytes: number;
}

const BUFFER_BYTES = 1024 * 1024;

/** Writes the datagrams of a stretch of time, with their verdicts, into one capture. */
export async function sliceLogs(
  paths: readonly string[],
  { from, to, bytes }: Slice,
  into: string,
): Promise<{ readonly datagrams: number; readonly isCut: boolean; readonly files: number }> {
  const ends = { sourceAddress: '192.0.2.1', destinationAddress: '192.0.2.2' };
  let blocks: CaptureBlocks | undefined;
  const file = openSync(into, 'w');
  let [datagrams, written, waiting] = [0, 0, 0];
  let isCut = false;
  let pieces: Uint8Array[] = [];
  const flush = (): void => {
    for (let all = Buffer.concat(pieces); all.length > 0;) all = all.subarray(writeSync(file, all));
    [pieces, waiting] = [[], 0];
  };
  const add = (piece: Uint8Array): void => {
    pieces.push(piece);
    waiting += piece.length;
    written += piece.length;
    if (waiting > BUFFER_BYTES) flush();
  };
  try {
    for await (const item of readChunkLog(paths)) {
      if (item.kind !== 'datagram') continue;
      const ms = Number(item.timestampNs / 1_000_000n);
      if (ms < from || ms > to) continue;
      const { srcPort: sourcePort, dstPort: destinationPort, payload, originalLength } = item.udp;
      if (blocks === undefined) {
        blocks = new CaptureBlocks({ name: 'link', ...ends, sourcePort, destinationPort });
        add(blocks.head({ application: 'sluice case' }));
      }
      if (written > bytes) {
        isCut = true;
        break;
      }
      add(blocks.packet(payload, item.timestampNs, { comment: item.comment, originalLength }));
      datagrams += 1;
    }
    flush();
  } finally {
    closeSync(file);
  }
  return { datagrams, isCut, files: paths.length };
}
