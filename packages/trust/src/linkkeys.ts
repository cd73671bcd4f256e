import { createCipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import {
  type Authenticator,
  type LinkKey,
  OperationalError,
  TAG_BYTES,
  TAG_JOB_WORDS,
  type TagAlgorithm,
} from '@sluice/ports';

/** Bytes of a link key, and of a session key derived from it. */
export const LINK_KEY_BYTES = 32;
/** TSI and SN in the fixed header (docs/PROTOCOL.md section 1): the GMAC nonce is made of them. */
export const TSI_OFFSET = 8;
export const SN_OFFSET = 19;
export const SN_BYTES = 5;
export const TAG_OFFSET = 24;
const ZERO_TAG = Buffer.alloc(TAG_BYTES);

/** The key of a link-key file: one line of 64 hexadecimal digits. @throws OperationalError `key-malformed`. */
export function parseLinkKey(text: string): Uint8Array {
  const line = text.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(line)) {
    throw new OperationalError(
      'key-malformed',
      'a link key must be 64 hexadecimal digits; make one with "sluice keys link"',
      {
        retryable: false,
      },
    );
  }
  return Buffer.from(line, 'hex');
}

/** What a link key is called by (docs/PROTOCOL.md A-8): nobody learns the key from it. */
export const linkKeyId = (key: Uint8Array): string =>
  createHash('sha256').update('sluice link key id\0').update(key).digest('hex');

/** Session key of one channel and session. */
export function sessionKey(channelKey: Uint8Array, algorithm: TagAlgorithm, tsi: number): Buffer {
  const session = Buffer.alloc(4);
  session.writeUInt32BE(tsi);
  const info = Buffer.concat([Buffer.from(`sluice v1 ${algorithm}\0`), session]);
  return Buffer.from(hkdfSync('sha256', channelKey, Buffer.alloc(0), info, LINK_KEY_BYTES));
}

abstract class TagAuthenticator implements Authenticator {
  /** The tag over the datagram with its 16 tag bytes taken as zero. */
  protected abstract tag(datagram: Uint8Array, tagOffset: number): Uint8Array;

  sign(datagram: Uint8Array, tagOffset: number): void {
    datagram.set(this.tag(datagram, tagOffset), tagOffset);
  }

  verify(datagram: Uint8Array, tagOffset: number): boolean {
    return timingSafeEqual(this.tag(datagram, tagOffset), datagram.subarray(tagOffset, tagOffset + TAG_BYTES));
  }

  tags(bytes: Uint8Array, jobs: Uint32Array, count: number): void {
    for (let i = 0; i < count * TAG_JOB_WORDS; i += TAG_JOB_WORDS) {
      const [at = 0, length = 0, to = 0] = jobs.subarray(i, i + TAG_JOB_WORDS);
      bytes.set(this.tag(bytes.subarray(at, at + length), TAG_OFFSET), to);
    }
  }
}

class HmacAuthenticator extends TagAuthenticator {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    super();
    this.#key = key;
  }

  protected tag(datagram: Uint8Array, tagOffset: number): Uint8Array {
    return createHmac('sha256', this.#key)
      .update(datagram.subarray(0, tagOffset))
      .update(ZERO_TAG)
      .update(datagram.subarray(tagOffset + TAG_BYTES))
      .digest()
      .subarray(0, TAG_BYTES);
  }
}

class GmacAuthenticator extends TagAuthenticator {
  readonly #key: Buffer;
  readonly #nonce = Buffer.alloc(12);

  constructor(key: Buffer) {
    super();
    this.#key = key;
  }

  protected tag(datagram: Uint8Array, tagOffset: number): Uint8Array {
    this.#nonce.set(datagram.subarray(TSI_OFFSET, TSI_OFFSET + 4), 0);
    this.#nonce.set(datagram.subarray(SN_OFFSET, SN_OFFSET + SN_BYTES), 12 - SN_BYTES);
    const gmac = createCipheriv('aes-256-gcm', this.#key, this.#nonce)
      .setAAD(datagram.subarray(0, tagOffset))
      .setAAD(ZERO_TAG)
      .setAAD(datagram.subarray(tagOffset + TAG_BYTES));
    gmac.final();
    return gmac.getAuthTag();
  }
}

/** Gives an authenticator a faster `tags`, with the same bytes. */
export type TagAccelerator = (
  reference: Authenticator,
  algorithm: TagAlgorithm,
  sessionKey: Uint8Array,
) => Authenticator;

/** The key of one channel on the link. `key` is 32 bytes. */
export function makeLinkKey(
  options: {
    readonly asid: number;
    readonly channel: string;
    readonly algorithm: TagAlgorithm;
    readonly key: Uint8Array;
  },
  accelerate: TagAccelerator = (reference) => reference,
): LinkKey {
  const { asid, channel, algorithm, key } = options;
  if (key.length !== LINK_KEY_BYTES) throw new Error(`a link key has ${String(LINK_KEY_BYTES)} bytes`);
  return {
    asid,
    id: linkKeyId(key),
    channel,
    algorithm,
    session: (tsi) => {
      const derived = sessionKey(key, algorithm, tsi);
      const reference = algorithm === 'AES-256-GMAC' ? new GmacAuthenticator(derived) : new HmacAuthenticator(derived);
      return accelerate(reference, algorithm, derived);
    },
  };
}
