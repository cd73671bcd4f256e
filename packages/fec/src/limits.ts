/** Encoding symbols a block can have in all, max_n: ESIs are 0 to 254 (docs/PROTOCOL.md L-5). */
export const ENCODING_SYMBOLS_MAX = 255;
/** Source symbols a block may have, the largest B (F-1). */
export const SOURCE_SYMBOLS_MAX = 250;
/** Bytes of the largest object (O-7). */
export const TRANSFER_LENGTH_MAX = 2 ** 40;
/** Bytes of the largest symbol that FEC Encoding ID 5 can announce: 16 bits (RFC 5510 section 8.1). */
export const SYMBOL_BYTES_MAX = 65535;

/** Throws unless `value` is a whole number from `least` to `most`: a caller's bug. */
export function assertWithin(name: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} is ${value}, but must be a whole number from ${least} to ${most}`);
  }
}
