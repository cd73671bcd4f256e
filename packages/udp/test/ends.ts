import type { ReceivedBatch } from '@sluice/ports';
import { type LinkIo, type LinkSink, type LinkSource, openSink, openSource } from '../src/index.ts';

/** A batch of `count` datagrams of `size` bytes; each begins with its number, counted from `first`. */
export function numbered(first: number, count: number, size: number) {
  const bytes = new Uint8Array(count * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i += 1) {
    bytes.fill(first + i, i * size, (i + 1) * size);
    view.setUint32(i * size, first + i);
  }
  return { bytes, size, count };
}

/** Keeps what a source delivers: number and length of each datagram. */
export class Collector {
  readonly numbers: number[] = [];
  readonly lengths: number[] = [];
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  readonly take = ({ bytes, offsets, lengths, count }: ReceivedBatch): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < count; i += 1) {
      const length = lengths[i] ?? -1;
      this.lengths.push(length);
      this.numbers.push(length >= 4 ? view.getUint32(offsets[i] ?? 0) : -1);
    }
    if (this.#waiting !== undefined && this.lengths.length >= this.#waiting.count) this.#waiting.resolve();
  };

  /** Resolves once `count` datagrams have come in all. */
  async until(count: number): Promise<void> {
    if (this.lengths.length >= count) return;
    await new Promise<void>((resolve) => {
      this.#waiting = { count, resolve };
    });
  }
}

export interface Ends {
  readonly source: LinkSource;
  readonly sink: LinkSink;
}

/** A source on a free port of the loopback interface and a sink towards it. */
export async function openEnds(io: LinkIo, receiveBuffer = 2 ** 23, sinkIo: LinkIo = io): Promise<Ends> {
  const source = await openSource({ host: '127.0.0.1', port: 0, receiveBuffer }, io);
  const sink = await openSink({ host: '127.0.0.1', port: source.port, io: sinkIo });
  return { source, sink };
}
