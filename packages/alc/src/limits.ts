// Limits of the link profile (docs/PROTOCOL.md sections 1, 4 and 10).

/** Shortest and longest encoding symbol of an object, in bytes (L-4). */
export const SYMBOL_BYTES_MIN = 64;
export const SYMBOL_BYTES_MAX = 8896;
/** E is a multiple of this (L-4). */
export const SYMBOL_BYTES_STEP = 16;
/** E when nothing else is configured: a datagram of 1452 bytes, 1480 with UDP and IPv4 headers (L-4). */
export const SYMBOL_BYTES_DEFAULT = 1408;

/** B, the most source symbols in a block (F-1). */
export const MAX_BLOCK_MAX = 250;
export const MAX_BLOCK_DEFAULT = 200;
/** max_n: encoding symbols of one block, source and repair (L-5). ESIs are below it. */
export const MAX_SYMBOLS = 255;
/** Source blocks of one object: SBN has 24 bits (RFC 5510 section 5.1). */
export const BLOCKS_MAX = 2 ** 24;

/** Bytes of one object (O-7). */
export const OBJECT_BYTES_MAX = 2 ** 40;
/** Bytes and files of one FDT Instance (O-4). */
export const FDT_BYTES_MAX = 64 * 1024;
export const FDT_FILES_MAX = 600;

export const TSI_MAX = 2 ** 32 - 1;
/** The epoch is the lower 30 bits of TSI (S-1). */
export const EPOCH_MAX = 2 ** 30 - 1;
export const TOI_MAX = 2 ** 32 - 1;
/** The anti-replay sequence number has 40 bits (RFC 6584 section 5.1). */
export const SN_MAX = 2 ** 40 - 1;
export const FDT_INSTANCE_ID_MAX = 2 ** 20 - 1;
export const ASID_MAX = 15;

/** True when E is one the profile allows (L-4). */
export const isSymbolBytes = (value: number): boolean =>
  Number.isInteger(value) && value >= SYMBOL_BYTES_MIN && value <= SYMBOL_BYTES_MAX && value % SYMBOL_BYTES_STEP === 0;

/** True when an object of `length` bytes has at most 2^24 source blocks of at most `maxBlock` symbols of `symbolBytes`. */
export const fitsBlocks = (length: number, symbolBytes: number, maxBlock: number): boolean =>
  Math.ceil(Math.ceil(length / symbolBytes) / maxBlock) <= BLOCKS_MAX;
