import { type Fdt, type FdtHeader, isExpired, parseFdt } from '@sluice/alc';
import { blockBytes, blockLength, blockOffset, type Codec, type Partition, partition } from '@sluice/fec';
import type { DatagramCode } from '@sluice/ports';
import { type GatheringBlock, ownBlock, recoverByCopy } from './gather.ts';

interface Assembly {
  readonly header: FdtHeader;
  readonly partition: Partition;
  readonly document: Uint8Array;
  readonly blocks: Map<number, GatheringBlock>;
  readonly done: Set<number>;
}

/** Instances remembered as over, for each that may be open: heartbeats have one each, once a second. */
const CLOSED = 4;

/** Puts the FDT Instances of one session together. An instance is parsed once, only from authenticated symbols. */
export class FdtAssembler {
  readonly #codec: Codec;
  readonly #limit: number;
  readonly #open = new Map<number, Assembly>();
  /** Instances already parsed, or refused, oldest first. */
  readonly #closed = new Map<number, FdtHeader>();

  constructor(codec: Codec, limit: number) {
    this.#codec = codec;
    this.#limit = limit;
  }

  /** Takes one symbol of TOI 0; a document when that made the instance whole. */
  add(header: FdtHeader, symbol: Uint8Array): Fdt | 'accepted' | 'surplus' | DatagramCode {
    const closed = this.#closed.get(header.instanceId);
    if (closed !== undefined) return sameShape(closed, header) ? 'surplus' : 'fdt-conflict';
    const assembly = this.#open.get(header.instanceId) ?? this.#begin(header);
    if (!sameShape(assembly.header, header)) return 'fdt-conflict';
    if (header.sbn >= assembly.partition.blocks) return 'bad-sbn';
    if (assembly.done.has(header.sbn)) return 'surplus';
    const block = assembly.blocks.get(header.sbn) ?? this.#block(assembly, header.sbn);
    if (!block.add(header.esi, symbol)) return 'surplus';
    if (block.have < block.k) return 'accepted';
    this.#finishBlock(assembly, header.sbn, block);
    if (assembly.done.size < assembly.partition.blocks) return 'accepted';
    this.#close(header);
    return this.#parse(assembly, header);
  }

  #begin(header: FdtHeader): Assembly {
    if (this.#open.size >= this.#limit) {
      for (const oldest of this.#open.keys()) {
        this.#open.delete(oldest);
        break;
      }
    }
    const shape = partition(header.transferLength, header.symbolBytes, header.maxBlock);
    const assembly = {
      header,
      partition: shape,
      document: new Uint8Array(header.transferLength),
      blocks: new Map<number, GatheringBlock>(),
      done: new Set<number>(),
    };
    this.#open.set(header.instanceId, assembly);
    return assembly;
  }

  #block(assembly: Assembly, sbn: number): GatheringBlock {
    const k = blockLength(assembly.partition, sbn);
    const block = ownBlock(k, assembly.partition.symbolBytes);
    assembly.blocks.set(sbn, block);
    return block;
  }

  #finishBlock(assembly: Assembly, sbn: number, block: GatheringBlock): void {
    recoverByCopy(this.#codec, block);
    const bytes = block.bytes.subarray(0, blockBytes(assembly.partition, sbn));
    assembly.document.set(bytes, blockOffset(assembly.partition, sbn));
    assembly.blocks.delete(sbn);
    assembly.done.add(sbn);
  }

  #close(header: FdtHeader): void {
    this.#open.delete(header.instanceId);
    this.#closed.set(header.instanceId, header);
    if (this.#closed.size > this.#limit * CLOSED) {
      for (const oldest of this.#closed.keys()) {
        this.#closed.delete(oldest);
        break;
      }
    }
  }

  #parse(assembly: Assembly, header: FdtHeader): Fdt | DatagramCode {
    const parsed = parseFdt(assembly.document);
    if (!parsed.ok) return parsed.error;
    if (isExpired(parsed.value.expires, header.ntpSeconds)) return 'fdt-expired';
    return parsed.value;
  }
}

const sameShape = (a: FdtHeader, b: FdtHeader): boolean =>
  a.transferLength === b.transferLength && a.symbolBytes === b.symbolBytes && a.maxBlock === b.maxBlock;
