// The chunk log: every datagram with its verdict, in rotating pcapng files. It never makes the receive path wait or fail:
// `append` fills a bounded buffer, a background writer empties it, and what does not fit is left out and counted.
import { FDT_HEADER_BYTES, HEADER_BYTES } from '@sluice/alc';
import type { ReceivedBatch, Verdict } from '@sluice/ports';
import { ENVELOPE_BYTES, ENVELOPE_NOTE, Envelope } from './envelope.ts';
import { DATAGRAM_BYTES_MAX, FILE_BYTES_MIN, PIECE_BYTES } from './limits.ts';
import type { ChunkLogOptions, ChunkLogState, LogClock, Piece } from './log-options.ts';
import { LogWriter } from './log-writer.ts';
import type { LogStorage } from './storage.ts';
import {
  commentOptions,
  concatenated,
  interfaceDescription,
  packetBlockBytes,
  sectionHeader,
  writePacketBlock,
} from './write-blocks.ts';

const HDR_LEN_FDT = 16;
const NO_OPTIONS = new Uint8Array(0);
const PIECES_MIN = 2;

function emptyPiece(interfaces: number): Piece {
  const bytes = new Uint8Array(PIECE_BYTES);
  return {
    bytes,
    view: new DataView(bytes.buffer),
    counts: new Array<number>(interfaces).fill(0),
    used: 0,
    firstNs: undefined,
    lastNs: 0n,
  };
}

export class ChunkLog {
  readonly #options: ChunkLogOptions;
  readonly #envelopes: readonly Envelope[];
  readonly #tails = new Map<Verdict, Uint8Array>();
  readonly #writer: LogWriter;
  readonly #piecesMax: number;
  readonly #free: Piece[] = [];
  #pieces = 0;
  #comment: string | undefined;
  #filling: Piece | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ChunkLogOptions, storage: LogStorage, clock: LogClock) {
    if (options.fileBytes < FILE_BYTES_MIN) throw new Error(`chunk log: fileBytes is less than ${FILE_BYTES_MIN}`);
    if (options.totalBytes < options.fileBytes) throw new Error('chunk log: totalBytes is less than fileBytes');
    this.#options = options;
    this.#envelopes = options.interfaces.map((ends) => new Envelope(ends));
    this.#piecesMax = Math.max(PIECES_MIN, Math.floor(options.bufferBytes / PIECE_BYTES));
    const snapBytes = ENVELOPE_BYTES + (options.mode === 'headers' ? FDT_HEADER_BYTES : DATAGRAM_BYTES_MAX);
    const descriptions = options.interfaces.map(({ name }) => interfaceDescription(name, ENVELOPE_NOTE, snapBytes));
    this.#comment = options.section.comment;
    const head = (): Uint8Array =>
      concatenated([sectionHeader({ ...options.section, comment: this.#comment }), ...descriptions]);
    this.#writer = new LogWriter(options, { head, storage, clock, release: (piece) => this.#free.push(piece) });
    if (options.mode === 'off') return;
    this.#timer = setInterval(() => void this.flush(), options.flushMs);
    this.#timer.unref();
  }

  /** True when nothing is kept. */
  get off(): boolean {
    return this.#options.mode === 'off';
  }

  /**
   * Takes the datagrams of a batch, all received at `timestampNs` (nanoseconds since 1970), with their verdicts: `verdicts[i]`
   * for datagram i; one without a verdict gets no comment. Copies, never waits, never throws for want of room or disk.
   */
  append(batch: ReceivedBatch, verdicts: ArrayLike<Verdict>, timestampNs: bigint, interfaceId = 0): void {
    if (this.#options.mode === 'off') return;
    const envelope = this.#envelopes[interfaceId];
    if (envelope === undefined) throw new Error(`chunk log: no interface ${interfaceId}`);
    const times = { high: Number(timestampNs >> 32n), low: Number(timestampNs & 0xffffffffn) };
    this.#writer.seen(interfaceId, batch.count);
    for (let index = 0; index < batch.count; index++) {
      const offset = batch.offsets[index] ?? 0;
      const length = Math.min(batch.lengths[index] ?? 0, DATAGRAM_BYTES_MAX);
      const kept = this.#kept(batch.bytes, offset, length);
      const tail = this.#tail(verdicts[index]);
      const captured = ENVELOPE_BYTES + kept;
      const size = packetBlockBytes(captured, tail);
      const piece = this.#room(size);
      if (piece === undefined) {
        this.#writer.drop(interfaceId, batch.count - index);
        return;
      }
      const original = ENVELOPE_BYTES + length;
      const dataAt = writePacketBlock(piece, piece.used, { interfaceId, times, captured, original, tail });
      envelope.write(piece, dataAt, length);
      piece.bytes.set(batch.bytes.subarray(offset, offset + kept), dataAt + ENVELOPE_BYTES);
      piece.used += size;
      piece.firstNs ??= timestampNs;
      piece.lastNs = timestampNs;
      piece.counts[interfaceId] = (piece.counts[interfaceId] ?? 0) + 1;
    }
  }

  /** What each file says of itself from now on; what comes next goes into a new one. */
  describe(comment: string): void {
    if (comment === this.#comment) return;
    this.#seal();
    this.#comment = comment;
    this.#writer.renew();
  }

  /** Writes what is buffered now; resolves when the writer has come to rest, also when the disk fails. */
  flush(): Promise<void> {
    this.#seal();
    return this.#writer.run();
  }

  state(): ChunkLogState {
    const bufferedBytes = (this.#filling?.used ?? 0) + this.#writer.queuedBytes();
    return { mode: this.#options.mode, ...this.#writer.state(), bufferedBytes };
  }

  /** Writes what is left, the statistics, and closes the file. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#seal();
    await this.#writer.close();
  }

  #kept(bytes: Uint8Array, offset: number, length: number): number {
    if (this.#options.mode === 'full') return length;
    const isFdt = length > 2 && bytes[offset + 2] === HDR_LEN_FDT;
    return Math.min(length, isFdt ? FDT_HEADER_BYTES : HEADER_BYTES);
  }

  #tail(verdict: Verdict | undefined): Uint8Array {
    if (verdict === undefined) return NO_OPTIONS;
    const known = this.#tails.get(verdict);
    if (known !== undefined) return known;
    const made = commentOptions(verdict);
    this.#tails.set(verdict, made);
    return made;
  }

  /** A piece with `size` free bytes, or undefined when all memory is waiting for the disk. */
  #room(size: number): Piece | undefined {
    if (this.#filling !== undefined && this.#filling.used + size <= PIECE_BYTES) return this.#filling;
    if (this.#filling !== undefined) {
      this.#seal();
      void this.#writer.run();
    }
    this.#filling = this.#free.pop();
    if (this.#filling === undefined && this.#pieces < this.#piecesMax) {
      this.#pieces++;
      this.#filling = emptyPiece(this.#envelopes.length);
    }
    return this.#filling;
  }

  #seal(): void {
    if (this.#filling === undefined || this.#filling.used === 0) return;
    this.#writer.push(this.#filling);
    this.#filling = undefined;
  }
}
