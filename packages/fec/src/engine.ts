/** What computes: a matrix over GF(2^8) times the symbols of a block. */
export interface Engine {
  readonly kind: CodecKind;
  /**
   * Writes, for each row i, the sum over j of rows[i][j] * symbol j to slot slots[i] of `out`.
   * `out` may be `symbols`: every row sees the symbols as they were. Lengths are the caller's to check.
   * @param rows each with one coefficient for each symbol
   * @param symbols at least rows[i].length * symbolBytes bytes
   */
  multiply(
    rows: readonly Uint8Array[],
    symbols: Uint8Array,
    symbolBytes: number,
    out: Uint8Array,
    slots: readonly number[],
  ): void;
}

/** Which engine a codec runs on, fastest first. */
export type CodecKind = 'relaxed-simd' | 'simd' | 'scalar';
