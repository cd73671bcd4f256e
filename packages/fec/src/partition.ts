import { assertWithin, SOURCE_SYMBOLS_MAX, SYMBOL_BYTES_MAX, TRANSFER_LENGTH_MAX } from './limits.ts';

/** How an object is cut into source blocks: RFC 5052 section 9.1. Numbers go beyond 32 bits. */
export interface Partition {
  /** L, bytes of the object. */
  readonly transferLength: number;
  /** E, bytes of a symbol. */
  readonly symbolBytes: number;
  /** T, source symbols of the object; the last may be padded. */
  readonly symbols: number;
  /** N, source blocks of the object. */
  readonly blocks: number;
  /** A_large, symbols of each of the first `largeBlocks` blocks. */
  readonly large: number;
  /** A_small, symbols of each later block. */
  readonly small: number;
  /** I, how many blocks are large. */
  readonly largeBlocks: number;
}

/**
 * Cuts an object into blocks (docs/PROTOCOL.md F-1): as few as B allows, all of one length or two that differ by one.
 * @param transferLength bytes of the object, 1 to 2^40
 * @param symbolBytes E, bytes of a symbol
 * @param maxBlock B, most source symbols of a block
 */
export function partition(transferLength: number, symbolBytes: number, maxBlock: number): Partition {
  assertWithin('transfer length', transferLength, 1, TRANSFER_LENGTH_MAX);
  assertWithin('symbol length', symbolBytes, 1, SYMBOL_BYTES_MAX);
  assertWithin('maximum block length', maxBlock, 1, SOURCE_SYMBOLS_MAX);
  // Exact in floating point: a quotient a / b is a whole number or at least 1 / b away from one, and rounding moves it by
  // less than a / b * 2^-52, which is smaller as long as a is below 2^52.
  const symbols = Math.ceil(transferLength / symbolBytes);
  const blocks = Math.ceil(symbols / maxBlock);
  const small = Math.floor(symbols / blocks);
  return {
    transferLength,
    symbolBytes,
    symbols,
    blocks,
    large: Math.ceil(symbols / blocks),
    small,
    largeBlocks: symbols - small * blocks,
  };
}

/** k, the source symbols of block `sbn`. */
export function blockLength(p: Partition, sbn: number): number {
  assertWithin('source block number', sbn, 0, p.blocks - 1);
  return sbn < p.largeBlocks ? p.large : p.small;
}

/** Where block `sbn` begins in the object, bytes. */
export function blockOffset(p: Partition, sbn: number): number {
  assertWithin('source block number', sbn, 0, p.blocks - 1);
  const largeBefore = Math.min(sbn, p.largeBlocks);
  return (largeBefore * p.large + (sbn - largeBefore) * p.small) * p.symbolBytes;
}

/** Bytes of the object in block `sbn`: without the zeros that pad the last symbol (F-3). */
export function blockBytes(p: Partition, sbn: number): number {
  return Math.min(blockLength(p, sbn) * p.symbolBytes, p.transferLength - blockOffset(p, sbn));
}
