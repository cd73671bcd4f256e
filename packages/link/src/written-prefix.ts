/** How far a file is written from its beginning without a gap, told by the pieces that are. */
export class WrittenPrefix {
  #end = 0;
  /** Where pieces beyond the first gap begin, and end. */
  readonly #beyond = new Map<number, number>();

  /** Bytes from the beginning. */
  get end(): number {
    return this.#end;
  }

  /** A piece is written. No two overlap. */
  add(offset: number, length: number): void {
    this.#beyond.set(offset, offset + length);
    for (let next = this.#beyond.get(this.#end); next !== undefined; next = this.#beyond.get(this.#end)) {
      this.#beyond.delete(this.#end);
      this.#end = next;
    }
  }
}
