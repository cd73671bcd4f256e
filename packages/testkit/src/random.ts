/** A seeded generator (xoshiro128**, Blackman and Vigna): one seed replays one world. */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    // splitmix32 spreads a small seed over the state.
    let x = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return (z ^ (z >>> 16)) >>> 0;
    });
  }

  /** 32 random bits. */
  word(): number {
    const s = this.#state;
    const [a = 0, b = 0, c = 0, d = 0] = s;
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    const c2 = c ^ a;
    const d2 = d ^ b;
    s[1] = b ^ c2;
    s[0] = a ^ d2;
    s[2] = c2 ^ t;
    s[3] = (d2 << 11) | (d2 >>> 21);
    return result;
  }

  /** At least 0, below 1. */
  unit(): number {
    return this.word() / 2 ** 32;
  }

  /** An integer, at least 0, below `limit`. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  bytes(length: number): Uint8Array {
    const words = Uint32Array.from({ length: Math.ceil(length / 4) }, () => this.word());
    return new Uint8Array(words.buffer, 0, length);
  }
}
