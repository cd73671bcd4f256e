// Link keys whose tags cost next to nothing, and are no secret: for targets that ask what becomes of a tag, not what it is made of.
// They are checked one by one or together, as AES-GMAC's are (docs/adr/0009): a tag is a sum over the datagram and a mask of its nonce.
import { crc32 } from 'node:zlib';
import { TAG_OFFSET } from '../../packages/alc/src/index.ts';
import {
  type Authenticator,
  type LinkKey,
  TAG_BYTES,
  TAG_JOB_WORDS,
  type TogetherCheck,
} from '../../packages/ports/src/index.ts';

const BLOCK_BYTES = 16;
/** TSI and SN in the header, and in a nonce. */
const [TSI_AT, SN_AT, SN_BYTES, NONCE_SN] = [8, 19, 5, 7];
const ZERO_TAG = new Uint8Array(TAG_BYTES);

/** The sum over a datagram with its tag taken as zero. */
const sumOf = (datagram: Uint8Array, key: number): number =>
  crc32(datagram.subarray(TAG_OFFSET + TAG_BYTES), crc32(ZERO_TAG, crc32(datagram.subarray(0, TAG_OFFSET), key)));

/** Four words that tell of one, so that no byte of a tag says nothing. */
const write = (view: DataView, at: number, word: number): void => {
  for (let i = 0; i < 4; i += 1) view.setUint32(at + 4 * i, (word ^ Math.imul(i, 0x9e3779b1)) >>> 0);
};

const holds = (view: DataView, at: number, word: number): boolean => {
  for (let i = 0; i < 4; i += 1) {
    if (view.getUint32(at + 4 * i) !== (word ^ Math.imul(i, 0x9e3779b1)) >>> 0) return false;
  }
  return true;
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

class PlainAuthenticator implements Authenticator {
  readonly together: TogetherCheck | undefined;
  readonly #key: number;
  readonly #nonce = new Uint8Array(BLOCK_BYTES);

  constructor(key: number, together: boolean) {
    this.#key = key;
    this.#nonce[BLOCK_BYTES - 1] = 1;
    if (together) {
      this.together = {
        mask: (bytes, at, length) => {
          const view = viewOf(bytes);
          for (let i = at; i < at + length; i += BLOCK_BYTES) this.#mask(view, i, bytes.subarray(i, i + BLOCK_BYTES));
        },
        isZero: (bytes, at, length) => this.#isZero(bytes, at, length),
      };
    }
  }

  #maskOf(nonce: Uint8Array): number {
    return crc32(nonce, ~this.#key >>> 0);
  }

  #mask(view: DataView, at: number, nonce: Uint8Array): void {
    const mask = this.#maskOf(nonce);
    for (let i = 0; i < BLOCK_BYTES; i += 4) view.setUint32(at + i, mask);
  }

  #word(datagram: Uint8Array): number {
    this.#nonce.set(datagram.subarray(TSI_AT, TSI_AT + 4), 0);
    this.#nonce.set(datagram.subarray(SN_AT, SN_AT + SN_BYTES), NONCE_SN);
    return (sumOf(datagram, this.#key) ^ this.#maskOf(this.#nonce)) >>> 0;
  }

  sign(datagram: Uint8Array, tagOffset: number): void {
    write(viewOf(datagram), tagOffset, this.#word(datagram));
  }

  verify(datagram: Uint8Array, tagOffset: number): boolean {
    return holds(viewOf(datagram), tagOffset, this.#word(datagram));
  }

  tags(bytes: Uint8Array, jobs: Uint32Array, count: number): void {
    const view = viewOf(bytes);
    for (let i = 0; i < count * TAG_JOB_WORDS; i += TAG_JOB_WORDS) {
      const at = jobs[i] ?? 0;
      write(view, jobs[i + 2] ?? 0, this.#word(bytes.subarray(at, at + (jobs[i + 1] ?? 0))));
    }
  }

  /** Each datagram in whole blocks, a block with its length in bits, and one with its tag and mask added: from the last one back. */
  #isZero(bytes: Uint8Array, at: number, length: number): boolean {
    const view = viewOf(bytes);
    for (let end = at + length; end > at;) {
      const bits = view.getUint32(end - 2 * BLOCK_BYTES + 4);
      const start = end - 2 * BLOCK_BYTES - Math.ceil(bits / 8 / BLOCK_BYTES) * BLOCK_BYTES;
      if (start < at) return false;
      const sum = sumOf(bytes.subarray(start, start + bits / 8), this.#key);
      if (!holds(view, end - BLOCK_BYTES, sum)) return false;
      end = start;
    }
    return true;
  }
}

/** Such a key; `together` says whether it has a check for many tags at once. */
export const plainKey = (asid: number, channel: string, together: boolean): LinkKey => ({
  asid,
  id: String(asid).padStart(64, '0'),
  channel,
  algorithm: together ? 'AES-256-GMAC' : 'HMAC-SHA-256-128',
  session: (tsi) =>
    new PlainAuthenticator((Math.imul(tsi, 0x85ebca6b) ^ Math.imul(asid + 1, 0xc2b2ae35)) >>> 0, together),
});
