import { FDT_HEADER_BYTES, HEADER_BYTES, ntpFromUnix, writeFdtHeader, writeObjectHeader } from '@sluice/alc';
import { blockBytes, blockLength, blockOffset, passEsis, type Partition, partition, repairCount } from '@sluice/fec';
import type { ObjectSource, SendCounters, SendObject, SendParts, SendSettings } from './types.ts';

/** Stands for the sequence number until `SendSession.seal` gives one at departure. */
const UNSEALED = 1;

/** A source block on its way: where it belongs and which symbols of it this run sends. */
export interface BlockRef {
  readonly object: SendObject;
  readonly partition: Partition;
  readonly toi: number;
  readonly sbn: number;
  readonly k: number;
  readonly esis: Uint8Array;
}

/** The blocks of an object with the symbols that run `run` sends of each (run = pass for blobs). */
export function* blocksOf(object: SendObject, toi: number, run: number, settings: SendSettings): Generator<BlockRef> {
  const shape = partition(object.size, settings.symbolBytes, settings.profile.maxBlock);
  for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
    const k = blockLength(shape, sbn);
    const m = repairCount(k, settings.profile);
    yield { object, partition: shape, toi, sbn, k, esis: passEsis(run, k, m) };
  }
}

/** Fills datagram slots with symbols: stops 3 to 5 (slice, protect, frame) but for SN and tag, which `SendSession.seal` adds. */
export class Framer {
  readonly datagramBytes: number;
  readonly #settings: SendSettings;
  readonly #parts: SendParts;
  readonly #counters: SendCounters;
  #source: Uint8Array;
  #symbols: Uint8Array;

  constructor(settings: SendSettings, parts: SendParts, counters: SendCounters) {
    this.#settings = settings;
    this.#parts = parts;
    this.#counters = counters;
    this.datagramBytes = HEADER_BYTES + settings.symbolBytes;
    this.#source = new Uint8Array(settings.profile.maxBlock * settings.symbolBytes);
    this.#symbols = new Uint8Array(255 * settings.symbolBytes);
  }

  /** Reads one block, encodes it and writes each symbol's datagram into the slot of `into` that `slots` names. */
  block(
    ref: BlockRef,
    tsi: number,
    asid: number,
    into: Uint8Array,
    slots: Uint32Array,
    from: ObjectSource = this.#parts.source,
  ): void {
    const size = this.#settings.symbolBytes;
    const source = this.#source.subarray(0, ref.k * size);
    const bytes = blockBytes(ref.partition, ref.sbn);
    from.read(ref.object.digest, blockOffset(ref.partition, ref.sbn), source.subarray(0, bytes));
    source.fill(0, bytes);
    this.#parts.codec.encode(source, ref.k, size, ref.esis, this.#symbols);
    ref.esis.forEach((esi, j) => {
      const slot = slots[j];
      if (slot === undefined) throw new Error('a symbol without a slot');
      const at = slot * this.datagramBytes;
      writeObjectHeader(into, at, { tsi, toi: ref.toi, asid, sn: UNSEALED, sbn: ref.sbn, esi });
      into.set(this.#symbols.subarray(j * size, (j + 1) * size), at + HEADER_BYTES);
      if (esi < ref.k) this.#counters.sourceSymbols += 1;
      else this.#counters.repairSymbols += 1;
    });
  }

  /** The datagrams of one sending of an FDT Instance, end to end; `repeat` picks other symbols each time. */
  fdt(document: Uint8Array, instanceId: number, repeat: number, tsi: number, asid: number): Uint8Array {
    const size = this.#settings.symbolBytes + HEADER_BYTES - FDT_HEADER_BYTES;
    const { maxBlock } = this.#settings.profile;
    const shape = partition(document.length, size, maxBlock);
    const datagrams: Uint8Array[] = [];
    for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
      const k = blockLength(shape, sbn);
      const esis = passEsis(repeat, k, repairCount(k, this.#settings.profile));
      const source = new Uint8Array(k * size);
      const start = blockOffset(shape, sbn);
      source.set(document.subarray(start, start + blockBytes(shape, sbn)));
      const symbols = new Uint8Array(esis.length * size);
      this.#parts.codec.encode(source, k, size, esis, symbols);
      esis.forEach((esi, j) => {
        const datagram = new Uint8Array(this.datagramBytes);
        writeFdtHeader(datagram, 0, {
          tsi,
          asid,
          sn: UNSEALED,
          instanceId,
          transferLength: document.length,
          symbolBytes: size,
          maxBlock,
          ntpSeconds: ntpFromUnix(this.#parts.wallSeconds()),
          sbn,
          esi,
        });
        datagram.set(symbols.subarray(j * size, (j + 1) * size), FDT_HEADER_BYTES);
        datagrams.push(datagram);
      });
    }
    const all = new Uint8Array(datagrams.length * this.datagramBytes);
    datagrams.forEach((datagram, i) => {
      all.set(datagram, i * this.datagramBytes);
    });
    return all;
  }
}
