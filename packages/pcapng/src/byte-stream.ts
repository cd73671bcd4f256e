// A stream of bytes read by length. Holds what was asked for and the piece it came in, nothing else.

/** What `take` gave is never overwritten: views into it stay good. */
export class ByteStream {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);
  #ended = false;
  #offset = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Bytes given out or passed over so far: the position in the file. */
  get offset(): number {
    return this.#offset;
  }

  /** True when `bytes` more are there without waiting for the source. */
  has(bytes: number): boolean {
    return this.#piece.length >= bytes;
  }

  /** The next bytes, fewer at the end of the stream. `bytes` must be bounded by the caller. */
  async take(bytes: number): Promise<Uint8Array> {
    if (!this.has(bytes)) await this.#fill(bytes);
    return this.takeNow(bytes);
  }

  /** As `take`, of what is there. */
  takeNow(bytes: number): Uint8Array {
    const taken = this.#piece.subarray(0, bytes);
    this.#piece = this.#piece.subarray(taken.length);
    this.#offset += taken.length;
    return taken;
  }

  /** Looks at the next bytes without taking them; fewer at the end of the stream. */
  async peek(bytes: number): Promise<Uint8Array> {
    if (!this.has(bytes)) await this.#fill(bytes);
    return this.#piece.subarray(0, bytes);
  }

  /** Passes over bytes without holding them; false when the stream ends before. */
  async skip(bytes: number): Promise<boolean> {
    let left = bytes;
    while (left > 0) {
      if (this.#piece.length === 0 && !(await this.#pull())) return false;
      const step = Math.min(left, this.#piece.length);
      this.takeNow(step);
      left -= step;
    }
    return true;
  }

  /** Lets the source go, so that a file is closed when reading ends early. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#source.return?.();
  }

  async #pull(): Promise<boolean> {
    while (!this.#ended) {
      const next = await this.#source.next();
      if (next.done === true) this.#ended = true;
      else if (next.value.length > 0) {
        this.#piece = next.value;
        return true;
      }
    }
    return false;
  }

  async #fill(bytes: number): Promise<void> {
    const pieces = [this.#piece];
    let have = this.#piece.length;
    while (have < bytes && (await this.#pull())) {
      pieces.push(this.#piece);
      have += this.#piece.length;
    }
    if (pieces.length === 1) return;
    const joined = new Uint8Array(have);
    let at = 0;
    for (const piece of pieces) {
      joined.set(piece, at);
      at += piece.length;
    }
    this.#piece = joined;
  }
}
