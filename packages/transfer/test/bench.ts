import {
  encodeFdt,
  type FdtFile,
  FDT_HEADER_BYTES,
  HEADER_BYTES,
  ntpFromUnix,
  SN_OFFSET,
  TAG_OFFSET,
  writeFdtHeader,
  writeObjectHeader,
} from '@sluice/alc';
import { blockBytes, blockLength, blockOffset, createCodec, type Partition, partition } from '@sluice/fec';
import type { Digest, Verdict } from '@sluice/ports';
import {
  type ObjectInfo,
  receiveArenaBytes,
  type ReceiveEvent,
  type ReceiveLimits,
  ReceiveMachine,
  type ReceiveParts,
  spoolKey,
} from '@sluice/transfer';
import { Arena } from '@sluice/wasm';
import { sha256 } from '../../trust/src/index.ts';
import { digestOf, MemorySpool, Random, testKeys } from '../../testkit/src/index.ts';

/** E of the datagrams made here, the shortest there is. */
export const E = 64;
export const FDT_E = E - (FDT_HEADER_BYTES - HEADER_BYTES);
/** B of the objects made here. */
export const B = 10;
export const TSI = 1000;
export const SECOND = 1e9;
/** Sender time, NTP seconds. */
export const NTP = ntpFromUnix(1.9e9);
export const HEARTBEAT = 'application/vnd.sluice.heartbeat+json';

export const LIMITS: ReceiveLimits = {
  blockBytes: 2 ** 20,
  unknownToiBytes: 2 ** 16,
  objectBytes: 2 ** 30,
  objects: 1000,
  tois: 1000,
  fdtInstances: 64,
};

/** One by one, or through the kernel. */
export type Way = 'one by one' | 'in batches';
export const WAYS: readonly Way[] = ['one by one', 'in batches'];

const codec = createCodec();
/** Memories for kernels are few, so machines share one as long as it has room. */
const ARENA_BYTES = 2 ** 29;
const DATAGRAM_MAX = 65_536;
let shared: Arena | undefined;
function arenaFor(bytes: number): Arena {
  if (shared === undefined || shared.left < bytes) shared = Arena.create(Math.max(ARENA_BYTES, bytes));
  return shared;
}

export interface TestObject {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly shape: Partition;
  readonly maxBlock: number;
  readonly toi: number;
  readonly contentType: FdtFile['contentType'];
}

/** What a datagram says; what is left out is the next, or the usual. */
export interface Fields {
  readonly tsi?: number;
  readonly asid?: number;
  readonly sn?: number;
  readonly symbolBytes?: number;
}

export interface FdtFields extends Fields {
  readonly instanceId?: number;
  readonly maxBlock?: number;
  readonly ntpSeconds?: number;
}

/** A receiver, a spool in memory, and a forge for datagrams of its sender and of others. */
export class Bench {
  readonly keys = testKeys(['prod', 'lab']);
  readonly spool = new MemorySpool();
  readonly events: ReceiveEvent[] = [];
  readonly random: Random;
  readonly machine: ReceiveMachine;
  now = SECOND;
  readonly #inbox: { readonly arena: Arena; readonly at: number } | undefined;
  readonly #sns = new Map<number, number>();
  #toi = 0;
  #instanceId = 0;

  constructor(
    options: {
      readonly way?: Way;
      readonly limits?: Partial<ReceiveLimits>;
      readonly highest?: number;
      readonly seed?: number;
      readonly parts?: Partial<ReceiveParts>;
    } = {},
  ) {
    const limits = { ...LIMITS, ...options.limits };
    this.random = new Random(options.seed ?? 1);
    const { keys, spool } = this;
    const onEvent = (event: ReceiveEvent): void => void this.events.push(event);
    const parts = { keys, codec, sha256, spool, onEvent, ...options.parts };
    if (options.way === 'in batches') {
      const arena = arenaFor(receiveArenaBytes(limits) + DATAGRAM_MAX);
      this.machine = new ReceiveMachine({ ...parts, arena }, limits, options.highest ?? 0);
      this.#inbox = { arena, at: arena.take(DATAGRAM_MAX) };
    } else this.machine = new ReceiveMachine(parts, limits, options.highest ?? 0);
  }

  /** Hands one datagram over; what became of it. */
  send(datagram: Uint8Array): Verdict {
    if (this.#inbox === undefined) return this.machine.receive(datagram, 0, datagram.length, this.now);
    const { arena, at } = this.#inbox;
    arena.bytes.set(datagram, at);
    this.machine.runs?.set([at, datagram.length, datagram.length]);
    let verdict: Verdict | undefined;
    this.machine.receiveRuns(1, this.now, ({ verdicts }) => (verdict = verdicts[0]));
    if (verdict === undefined) throw new Error('a datagram without a verdict');
    return verdict;
  }

  sendAll(datagrams: Iterable<Uint8Array>): Verdict[] {
    return Array.from(datagrams, (datagram) => this.send(datagram));
  }

  /** Signs what was changed after it was made. */
  signed(datagram: Uint8Array, tsi = TSI, asid = 0): Uint8Array {
    this.keys[asid]?.session(tsi).sign(datagram, TAG_OFFSET);
    return datagram;
  }

  /** The same datagram with the next sequence number. */
  renumbered(datagram: Uint8Array, tsi = TSI): Uint8Array {
    const copy = datagram.slice();
    const sn = this.sn(tsi);
    for (let i = 0; i < 5; i += 1) copy[SN_OFFSET + i] = Math.floor(sn / 256 ** (4 - i)) & 0xff;
    return this.signed(copy, tsi);
  }

  sn(tsi: number): number {
    const sn = (this.#sns.get(tsi) ?? 0) + 1;
    this.#sns.set(tsi, sn);
    return sn;
  }

  /** Goes on from this sequence number. */
  skipTo(tsi: number, sn: number): void {
    this.#sns.set(tsi, sn);
  }

  nextToi(): number {
    this.#toi += 1;
    return this.#toi;
  }

  object(
    size: number,
    more: { maxBlock?: number; contentType?: FdtFile['contentType']; symbolBytes?: number } = {},
  ): TestObject {
    const { maxBlock = B, contentType = 'application/octet-stream', symbolBytes = E } = more;
    const bytes = this.random.bytes(size);
    return {
      digest: digestOf(bytes),
      bytes,
      shape: partition(size, symbolBytes, maxBlock),
      maxBlock,
      toi: this.nextToi(),
      contentType,
    };
  }

  /** One datagram of a symbol. */
  datagram(toi: number, sbn: number, esi: number, symbol: Uint8Array, fields: Fields = {}): Uint8Array {
    const { tsi = TSI, asid = 0 } = fields;
    const bytes = new Uint8Array(HEADER_BYTES + symbol.length);
    writeObjectHeader(bytes, 0, { tsi, toi, asid, sn: fields.sn ?? this.sn(tsi), sbn, esi });
    bytes.set(symbol, HEADER_BYTES);
    return this.signed(bytes, tsi, asid);
  }

  /** A datagram for each ESI of one block; the source symbols when no ESIs are given. */
  block(object: TestObject, sbn: number, esis?: readonly number[], fields: Fields = {}): Uint8Array[] {
    const { shape, bytes, toi } = object;
    const k = blockLength(shape, sbn);
    const wanted = esis ?? Array.from({ length: k }, (_, i) => i);
    const source = new Uint8Array(k * shape.symbolBytes);
    const start = blockOffset(shape, sbn);
    source.set(bytes.subarray(start, start + blockBytes(shape, sbn)));
    const symbols = new Uint8Array(wanted.length * shape.symbolBytes);
    codec.encode(source, k, shape.symbolBytes, wanted, symbols);
    return wanted.map((esi, i) =>
      this.datagram(toi, sbn, esi, symbols.subarray(i * shape.symbolBytes, (i + 1) * shape.symbolBytes), fields),
    );
  }

  /** The source symbols of all blocks. */
  symbols(object: TestObject, fields: Fields = {}): Uint8Array[] {
    return Array.from({ length: object.shape.blocks }, (_, sbn) => this.block(object, sbn, undefined, fields)).flat();
  }

  /** The FDT Instance that names the objects. */
  document(objects: readonly TestObject[], expires = (NTP + 86_400) >>> 0): Uint8Array {
    const files = objects.map(({ toi, digest, bytes, contentType }) => ({
      toi,
      digest,
      length: bytes.length,
      contentType,
    }));
    const { shape, maxBlock = B } = objects[0] ?? {};
    const symbolBytes = shape?.symbolBytes ?? E;
    return encodeFdt({ expires, maxBlock, symbolBytes, maxSymbols: 255, files });
  }

  /** The datagrams of an FDT Instance, source symbols only. */
  fdt(document: Uint8Array, fields: FdtFields = {}): Uint8Array[] {
    const { tsi = TSI, asid = 0, symbolBytes = E, maxBlock = 200, ntpSeconds = NTP } = fields;
    const size = symbolBytes - (FDT_HEADER_BYTES - HEADER_BYTES);
    const shape = partition(document.length, size, maxBlock);
    const instanceId = fields.instanceId ?? this.nextInstanceId();
    const datagrams: Uint8Array[] = [];
    for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
      for (let esi = 0; esi < blockLength(shape, sbn); esi += 1) {
        const bytes = new Uint8Array(HEADER_BYTES + symbolBytes);
        const sn = fields.sn ?? this.sn(tsi);
        const about = { instanceId, transferLength: document.length, symbolBytes: size, maxBlock, ntpSeconds };
        writeFdtHeader(bytes, 0, { tsi, asid, sn, sbn, esi, ...about });
        const at = blockOffset(shape, sbn) + esi * size;
        bytes.set(document.subarray(at, at + size), FDT_HEADER_BYTES);
        datagrams.push(this.signed(bytes, tsi, asid));
      }
    }
    return datagrams;
  }

  nextInstanceId(): number {
    this.#instanceId += 1;
    return this.#instanceId;
  }

  /** Sends the FDT Instance of the objects; its last verdict. */
  announce(objects: readonly TestObject[], fields: FdtFields = {}): Verdict | undefined {
    return this.sendAll(this.fdt(this.document(objects), fields)).at(-1);
  }

  info(object: TestObject, asid = 0): ObjectInfo {
    const { digest, bytes, shape, contentType, maxBlock } = object;
    const channel = this.keys[asid]?.channel ?? '';
    return { digest, size: bytes.length, contentType, symbolBytes: shape.symbolBytes, maxBlock, asid, channel };
  }

  /** Bytes of the object in the spool, as far as they came. */
  spooled(object: TestObject): Uint8Array | undefined {
    return this.spool.objects.get(spoolKey(this.info(object)))?.bytes;
  }

  /** True when the object was told to be whole, once, and lies in the spool byte for byte. */
  arrived(object: TestObject): boolean {
    const told = this.events.filter((event) => event.type === 'object-whole' && event.info.digest === object.digest);
    const bytes = this.spooled(object);
    return told.length === 1 && bytes !== undefined && Buffer.compare(bytes, object.bytes) === 0;
  }

  /** Transfers a new object from FDT Instance to last symbol; true when it arrives. */
  carries(size = 1234, fields: Fields = {}): boolean {
    const object = this.object(size);
    this.announce([object], fields);
    this.sendAll(this.symbols(object, fields));
    return this.arrived(object);
  }

  eventsOf<T extends ReceiveEvent['type']>(type: T): Extract<ReceiveEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<ReceiveEvent, { type: T }> => event.type === type);
  }
}
