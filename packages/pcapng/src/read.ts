// Reads captures: chunk logs of ours, and what tcpdump, dumpcap or Wireshark wrote. Total, streaming, bounded.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { OperationalError } from '@sluice/ports';
import { SECTION_HEADER } from './blocks.ts';
import { ByteStream } from './byte-stream.ts';
import {
  type CaptureCounts,
  type CaptureFault,
  type CapturedDatagram,
  type CaptureStatistics,
  emptyCounts,
  fault,
} from './capture.ts';
import { isPcap, readPcap } from './read-pcap.ts';
import { readPcapng, salvagePcapng } from './read-pcapng.ts';
import { isSystemError } from './storage.ts';

const READ_BYTES = 256 * 1024;

/** Behind the last datagram or the fault of each capture. */
export interface CaptureEnd {
  readonly kind: 'end';
  readonly counts: CaptureCounts;
}

export type CaptureItem = (CapturedDatagram | CaptureStatistics | CaptureFault | CaptureEnd) & {
  /** The path; undefined for a stream of bytes. */
  readonly file: string | undefined;
};

/** What of a damaged medium cannot be read is passed over in pieces of this size, zero in its place. */
const SECTOR_BYTES = 4096;

export interface ReadOptions {
  /** Behind a fault the next block is looked for, and bytes that the disk does not give are zero. Captures of ours only. */
  readonly salvage?: boolean;
  /** What the captures say of what is not in them is wanted, too. */
  readonly statistics?: boolean;
}

function unreadable(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  const message = `The capture ${path} cannot be read (${error.code}); check the path, its permissions and the disk.`;
  return new OperationalError('capture-read', message, { retryable: error.code === 'EIO', cause: error });
}

/** What a compressed file holds cannot be unpacked any further. */
class DamagedError extends Error {}

/** A file as it is; one that a chunk log's keeper has compressed, unpacked. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    const stored = createReadStream(path, { highWaterMark: READ_BYTES });
    const plain = path.endsWith('.zst') ? stored.pipe(await unpacker(stored)) : stored;
    for await (const piece of plain) yield piece as Uint8Array;
  } catch (error) {
    // The decompressor has codes of its own, and no call of the system failed.
    if (path.endsWith('.zst') && error instanceof Error && !('syscall' in error)) throw new DamagedError(error.message);
    throw unreadable(path, error);
  }
}

/** Loaded where it is needed: link, which only writes, has no decompressor. */
async function unpacker(from: NodeJS.EventEmitter): Promise<NodeJS.ReadWriteStream> {
  const { createZstdDecompress } = await import('node:zlib');
  const unpack = createZstdDecompress();
  from.once('error', (error) => unpack.destroy(error as Error));
  return unpack;
}

/** A file of a medium that may be scratched: sectors that cannot be read are zeros. */
async function* salvagedBytes(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const { size } = await file.stat();
    for (let at = 0; at < size; at += READ_BYTES) {
      const piece = new Uint8Array(Math.min(READ_BYTES, size - at));
      const whole = await file.read(piece, 0, piece.length, at).catch(() => undefined);
      for (let done = whole?.bytesRead ?? 0; done < piece.length; done += SECTOR_BYTES) {
        await file.read(piece, done, Math.min(SECTOR_BYTES, piece.length - done), at + done).catch(() => undefined);
      }
      yield piece;
    }
  } finally {
    await file.close();
  }
}

async function* readOne(
  source: AsyncIterable<Uint8Array>,
  file: string | undefined,
  { salvage = false, statistics = false }: ReadOptions,
): AsyncGenerator<CaptureItem> {
  const stream = new ByteStream(source);
  const counts = emptyCounts();
  try {
    const head = await stream.peek(4);
    const magic = head.length < 4 ? 0 : new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true);
    if (salvage || magic === SECTION_HEADER || isPcap(magic)) {
      const pcapng = salvage ? salvagePcapng : readPcapng;
      const items = isPcap(magic) ? readPcap(stream, counts) : pcapng(stream, counts);
      for await (const item of items) if (statistics || item.kind !== 'statistics') yield { ...item, file };
    } else {
      yield { ...fault(head.length < 4 ? 'truncated' : 'not-a-capture', 0), file };
    }
    yield { kind: 'end', counts: { ...counts, skipped: { ...counts.skipped }, bytes: stream.offset }, file };
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    yield { ...fault('bad-block', stream.offset), file };
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
  options: ReadOptions = {},
): AsyncGenerator<CaptureItem> {
  if (Symbol.asyncIterator in source) {
    yield* readOne(source, undefined, options);
    return;
  }
  for (const path of source) {
    yield* readOne(options.salvage === true ? salvagedBytes(path) : bytesOf(path), path, options);
  }
}
