// Reads captures: chunk logs of ours, and what tcpdump, dumpcap or Wireshark wrote. Total, streaming, bounded.
import { createReadStream } from 'node:fs';
import { OperationalError } from '@sluice/ports';
import { SECTION_HEADER } from './blocks.ts';
import { ByteStream } from './byte-stream.ts';
import { type CaptureCounts, type CaptureFault, type CapturedDatagram, emptyCounts, fault } from './capture.ts';
import { isPcap, readPcap } from './read-pcap.ts';
import { readPcapng } from './read-pcapng.ts';
import { isSystemError } from './storage.ts';

const READ_BYTES = 256 * 1024;

/** Behind the last datagram or the fault of each capture. */
export interface CaptureEnd {
  readonly kind: 'end';
  readonly counts: CaptureCounts;
}

export type CaptureItem = (CapturedDatagram | CaptureFault | CaptureEnd) & {
  /** The path; undefined for a stream of bytes. */
  readonly file: string | undefined;
};

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES })) yield piece as Uint8Array;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const message = `The capture ${path} cannot be read (${error.code}); check the path, its permissions and the disk.`;
    throw new OperationalError('capture-read', message, { retryable: error.code === 'EIO', cause: error });
  }
}

async function* readOne(source: AsyncIterable<Uint8Array>, file: string | undefined): AsyncGenerator<CaptureItem> {
  const stream = new ByteStream(source);
  const counts = emptyCounts();
  try {
    const head = await stream.peek(4);
    const magic = head.length < 4 ? 0 : new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true);
    if (magic === SECTION_HEADER || isPcap(magic)) {
      const items = magic === SECTION_HEADER ? readPcapng(stream, counts) : readPcap(stream, counts);
      for await (const item of items) yield { ...item, file };
    } else {
      yield { ...fault(head.length < 4 ? 'truncated' : 'not-a-capture', 0), file };
    }
    yield { kind: 'end', counts: { ...counts, skipped: { ...counts.skipped }, bytes: stream.offset }, file };
  } finally {
    await stream.close();
  }
}

/**
 * The UDP datagrams of one capture (a stream of bytes) or of several files in the order given. A capture that is damaged yields
 * a `fault` with code and offset, and reading goes on with the next file; each ends with its counts.
 * Throws OperationalError `capture-read` when a file cannot be read.
 */
export async function* readChunkLog(
  source: readonly string[] | AsyncIterable<Uint8Array>,
): AsyncGenerator<CaptureItem> {
  if (Symbol.asyncIterator in source) {
    yield* readOne(source, undefined);
    return;
  }
  for (const path of source) yield* readOne(bytesOf(path), path);
}
