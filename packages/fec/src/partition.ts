/** How an object is cut into source blocks (RFC 5052 section 9.1): the first `largeBlocks` have `large` symbols, the rest `small`. */
export interface Partition {
  /** L, bytes. */
  readonly transferLength: number;
  /** E, bytes. */
  readonly symbolBytes: number;
  /** T, source symbols of the object. */
  readonly symbols: number;
  /** N, source blocks. */
  readonly blocks: number;
  /** A_large, symbols. */
  readonly large: number;
  /** A_small, symbols. */
  readonly small: number;
  /** I, blocks that have A_large symbols. */
  readonly largeBlocks: number;
}

/**
 * Partitions an object of `transferLength` bytes (1 to 2^53 - 1) in symbols of `symbolBytes` bytes and blocks of at most
 * `maxBlock` symbols (RFC 5052 section 9.1). All arithmetic stays within safe integers.
 */
export function partition(transferLength: number, symbolBytes: number, maxBlock: number): Partition {
  if (!Number.isSafeInteger(transferLength) || transferLength < 1)
    throw new Error(`transfer length ${String(transferLength)}`);
  const symbols = Math.ceil(transferLength / symbolBytes);
  const blocks = Math.ceil(symbols / maxBlock);
  const large = Math.ceil(symbols / blocks);
  const small = Math.floor(symbols / blocks);
  return { transferLength, symbolBytes, symbols, blocks, large, small, largeBlocks: symbols - small * blocks };
}

/** k: source symbols of block `sbn`. */
export const blockLength = (p: Partition, sbn: number): number => (sbn < p.largeBlocks ? p.large : p.small);

/** Byte offset of block `sbn` in the object. */
export const blockOffset = (p: Partition, sbn: number): number =>
  (sbn <= p.largeBlocks ? sbn * p.large : p.largeBlocks * p.large + (sbn - p.largeBlocks) * p.small) * p.symbolBytes;

/** Bytes of the object in block `sbn`: without the padding of the last symbol. */
export const blockBytes = (p: Partition, sbn: number): number =>
  Math.min(blockLength(p, sbn) * p.symbolBytes, p.transferLength - blockOffset(p, sbn));
