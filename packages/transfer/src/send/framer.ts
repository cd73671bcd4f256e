import {
  FDT_HEADER_BYTES,
  HEADER_BYTES,
  ntpFromUnix,
  TAG_OFFSET,
  writeFdtHeader,
  writeObjectHeader,
} from '@sluice/alc';
import { ArenaCodec, blockBytes, blockLength, blockOffset, type FecProfile, passEsis } from '@sluice/fec';
import { type Partition, partition, repairCount, topUpEsis } from '@sluice/fec';
import { TAG_BYTES } from '@sluice/ports';
import type { Arena } from '@sluice/wasm';
import type { SendKernel } from './kernel.ts';
import type { Stopwatch } from '../stopwatch.ts';
import type { Blocks, ObjectSource, SendCounters, SendObject, SendParts, SendSettings, SendStop } from './types.ts';

/** Stands for the sequence number until `SendSession` gives one at departure. */
const UNSEALED = 1;
const ENCODING_SYMBOLS_MAX = 255;

/** A source block on its way: where it belongs and which symbols of it this run sends. */
export interface BlockRef {
  readonly object: SendObject;
  readonly partition: Partition;
  readonly toi: number;
  readonly sbn: number;
  readonly k: number;
  readonly esis: Uint8Array;
}

/** Some of an object's blocks, or of their symbols. */
export interface Selection {
  /** Default all. */
  readonly blocks?: Blocks | undefined;
  /** Repair symbols alone (PROTOCOL.md F-7). */
  readonly topUp?: boolean;
}

/** The blocks of an object with the symbols that run `run` sends of each (run = pass for blobs). */
export function* blocksOf(
  object: SendObject,
  toi: number,
  run: number,
  settings: SendSettings,
  { blocks, topUp = false }: Selection = {},
): Generator<BlockRef> {
  const shape = partition(object.size, settings.symbolBytes, settings.profile.maxBlock);
  const [large, small] = [shape.large, shape.small].map((k) => esisOf(run, k, settings.profile, topUp));
  for (const [first, last] of blocks ?? [[0, shape.blocks - 1]]) {
    for (let sbn = first; sbn <= last; sbn += 1) {
      const k = blockLength(shape, sbn);
      const esis = k === shape.large ? large : small;
      if (esis !== undefined) yield { object, partition: shape, toi, sbn, k, esis };
    }
  }
}

/** Symbols that one run sends of an object, source and repair. */
export function symbolsOf(
  { size }: SendObject,
  { symbolBytes, profile }: Pick<SendSettings, 'symbolBytes' | 'profile'>,
  { blocks, topUp = false }: Selection = {},
): number {
  const shape = partition(size, symbolBytes, profile.maxBlock);
  const ofBlock = (k: number): number => (k === 0 ? 0 : (topUp ? 0 : k) + repairCount(k, profile));
  const [large, small] = [ofBlock(shape.large), ofBlock(shape.small)];
  return (blocks ?? [[0, shape.blocks - 1]]).reduce((sum, [first, last]) => {
    const largeOnes = Math.max(0, Math.min(last + 1, shape.largeBlocks) - first);
    return sum + largeOnes * large + (last + 1 - first - largeOnes) * small;
  }, 0);
}

/** Lists of ESIs that are kept: with the rows of the code that hang on each, tens of KiB at most. */
const LISTS = 32;
const lists = new Map<string, Uint8Array>();

/** One list for all blocks of a length, so that the codec knows it again. */
function esisOf(run: number, k: number, profile: FecProfile, topUp: boolean): Uint8Array | undefined {
  if (k === 0) return undefined;
  const about = [profile.name, profile.maxBlock, profile.repair, k, run, topUp ? 'top-up' : 'full'].join(' ');
  const known = lists.get(about);
  if (known !== undefined) return known;
  const esis = (topUp ? topUpEsis : passEsis)(run, k, repairCount(k, profile));
  for (const oldest of lists.keys()) {
    if (lists.size < LISTS) break;
    lists.delete(oldest);
  }
  lists.set(about, esis);
  return esis;
}

/** Fills datagram slots with symbols: stops 3 to 5 (slice, protect, frame) but for SN and tag, which `SendSession` adds. */
export class Framer {
  readonly datagramBytes: number;
  readonly #settings: SendSettings;
  readonly #parts: SendParts;
  readonly #counters: SendCounters;
  readonly #arena: Arena;
  readonly #kernel: SendKernel | undefined;
  readonly #codec: ArenaCodec | undefined;
  /** Addresses: of the block's source symbols, its slots in the run, its ESIs, its symbols in the slots. */
  readonly #source: number;
  readonly #order: number;
  readonly #esis: number;
  readonly #outs: number;
  readonly #repair: Uint8Array;
  readonly #watch: Stopwatch<SendStop>;

  constructor(
    settings: SendSettings,
    parts: SendParts,
    counters: SendCounters,
    arena: Arena,
    kernel: SendKernel | undefined,
    watch: Stopwatch<SendStop>,
  ) {
    this.#watch = watch;
    this.#settings = settings;
    this.#parts = parts;
    this.#counters = counters;
    this.#arena = arena;
    this.#kernel = kernel;
    this.#codec = kernel === undefined ? undefined : new ArenaCodec(arena);
    this.datagramBytes = HEADER_BYTES + settings.symbolBytes;
    this.#source = arena.take(settings.profile.maxBlock * settings.symbolBytes);
    this.#order = arena.take(ENCODING_SYMBOLS_MAX * 4);
    this.#esis = arena.take(ENCODING_SYMBOLS_MAX);
    this.#outs = arena.take(ENCODING_SYMBOLS_MAX * 4);
    this.#repair = new Uint8Array(kernel === undefined ? ENCODING_SYMBOLS_MAX * settings.symbolBytes : 0);
  }

  /** Reads one block, encodes it and writes each symbol's datagram into the slot from address `slots` on that `order` names. */
  block(
    ref: BlockRef,
    tsi: number,
    asid: number,
    slots: number,
    order: Uint32Array,
    from: ObjectSource = this.#parts.source,
  ): void {
    const size = this.#settings.symbolBytes;
    const source = this.#arena.view(this.#source, ref.k * size);
    const bytes = blockBytes(ref.partition, ref.sbn);
    this.#watch.start();
    from.read(ref.object.digest, blockOffset(ref.partition, ref.sbn), source.subarray(0, bytes));
    source.fill(0, bytes);
    this.#watch.lap('read');
    const sources =
      this.#kernel === undefined || this.#codec === undefined
        ? this.#plain(ref, tsi, asid, slots, order, source)
        : this.#fast(ref, tsi, asid, slots, order, this.#kernel, this.#codec);
    this.#counters.sourceSymbols += sources;
    this.#counters.repairSymbols += ref.esis.length - sources;
  }

  #fast(
    { k, esis, toi, sbn }: BlockRef,
    tsi: number,
    asid: number,
    slots: number,
    order: Uint32Array,
    kernel: SendKernel,
    codec: ArenaCodec,
  ): number {
    const { symbolBytes } = this.#settings;
    const { words } = this.#arena;
    words.set(order, this.#order >>> 2);
    this.#arena.bytes.set(esis, this.#esis);
    const sources = kernel.frame(
      ...([slots, this.datagramBytes, this.#order, this.#esis, esis.length, this.#source, symbolBytes, k] as const),
      ...([tsi, toi, asid, sbn, this.#outs] as const),
    );
    this.#watch.lap('frame');
    const outs = words.subarray(this.#outs >>> 2, (this.#outs >>> 2) + esis.length);
    codec.encodeAt(this.#source, k, symbolBytes, symbolBytes, esis, outs);
    this.#watch.lap('protect');
    return sources;
  }

  /** The plain form of `#fast`. */
  #plain(ref: BlockRef, tsi: number, asid: number, slots: number, order: Uint32Array, source: Uint8Array): number {
    const size = this.#settings.symbolBytes;
    const into = this.#arena.bytes;
    this.#parts.codec.encode(source, ref.k, size, ref.esis, this.#repair);
    this.#watch.lap('protect');
    ref.esis.forEach((esi, j) => {
      const slot = order[j];
      if (slot === undefined) throw new Error('a symbol without a slot');
      const at = slots + slot * this.datagramBytes;
      writeObjectHeader(into, at, { tsi, toi: ref.toi, asid, sn: UNSEALED, sbn: ref.sbn, esi });
      into.fill(0, at + TAG_OFFSET, at + TAG_OFFSET + TAG_BYTES);
      into.set(this.#repair.subarray(j * size, (j + 1) * size), at + HEADER_BYTES);
    });
    this.#watch.lap('frame');
    return ref.esis.reduce((sum, esi) => sum + (esi < ref.k ? 1 : 0), 0);
  }

  /** The datagrams of one sending of an FDT Instance, end to end; `repeat` picks other symbols each time. */
  fdt(document: Uint8Array, instanceId: number, repeat: number, tsi: number, asid: number): Uint8Array {
    const size = this.#settings.symbolBytes + HEADER_BYTES - FDT_HEADER_BYTES;
    const { maxBlock } = this.#settings.profile;
    const shape = partition(document.length, size, maxBlock);
    const blocks = Array.from({ length: shape.blocks }, (_, sbn) => {
      const k = blockLength(shape, sbn);
      return { sbn, k, esis: passEsis(repeat, k, repairCount(k, this.#settings.profile)) };
    });
    const all = new Uint8Array(blocks.reduce((sum, { esis }) => sum + esis.length, 0) * this.datagramBytes);
    const header = {
      ...{ tsi, asid, sn: UNSEALED, instanceId, transferLength: document.length, symbolBytes: size, maxBlock },
      ntpSeconds: ntpFromUnix(this.#parts.wallSeconds()),
    };
    let at = 0;
    for (const { sbn, k, esis } of blocks) {
      const source = new Uint8Array(k * size);
      const start = blockOffset(shape, sbn);
      source.set(document.subarray(start, start + blockBytes(shape, sbn)));
      const symbols = new Uint8Array(esis.length * size);
      this.#parts.codec.encode(source, k, size, esis, symbols);
      for (let j = 0; j < esis.length; j += 1) {
        writeFdtHeader(all, at, { ...header, sbn, esi: esis[j] ?? 0 });
        all.set(symbols.subarray(j * size, (j + 1) * size), at + FDT_HEADER_BYTES);
        at += this.datagramBytes;
      }
    }
    return all;
  }
}
