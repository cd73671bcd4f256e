/** What computes: a matrix over GF(2^8) times the symbols of a block, all within one arena. */
export interface Engine {
  readonly kind: CodecKind;
  /**
   * Writes, for each row i, the sum over j of rows[i][j] * symbol j to the address outs[i]. Outputs overlap neither each
   * other nor the symbols. Addresses and lengths are the caller's to check.
   * @param rows each with one coefficient for each symbol; an array that comes again is recognized by its identity
   * @param symbols address of the first symbol; the others follow `stride` bytes apart
   * @param symbolBytes at least 32
   */
  multiply(
    rows: readonly Uint8Array[],
    symbols: number,
    symbolBytes: number,
    stride: number,
    outs: ArrayLike<number>,
  ): void;
}

/** Which engine a codec runs on, fastest first. */
export type CodecKind = 'relaxed-simd' | 'simd' | 'scalar';
