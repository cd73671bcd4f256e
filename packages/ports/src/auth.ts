/** Algorithms of PROTOCOL.md A-3. */
export type TagAlgorithm = 'HMAC-SHA-256-128' | 'AES-256-GMAC';

export const TAG_BYTES = 16;

/** Words of one job in `Authenticator.tags`: where the datagram lies, its length, where its tag goes. */
export const TAG_JOB_WORDS = 3;

/** Makes and checks the tag of datagrams of one session under one key (PROTOCOL.md section 2). */
export interface Authenticator {
  /** Writes the 16-byte tag at `tagOffset` of `datagram` (the field need not be zero before). */
  sign(datagram: Uint8Array, tagOffset: number): void;
  /** True when the tag at `tagOffset` holds. Compares in constant time; leaves the datagram as it was. */
  verify(datagram: Uint8Array, tagOffset: number): boolean;
  /**
   * Computes the tags of many datagrams whose tag fields are zero.
   * @param bytes all of one SharedArrayBuffer
   * @param jobs three words each: offset in `bytes`, length, offset where the 16 bytes of the tag are written
   * @param count jobs to do, from the first
   */
  tags(bytes: Uint8Array, jobs: Uint32Array, count: number): void;
  /** What lets the tags of many datagrams be checked at once; undefined where the algorithm or the runtime has no such thing. */
  readonly together?: TogetherCheck | undefined;
}

/** The two halves of AES-GCM's tag (NIST SP 800-38D), each for many blocks of 16 bytes at once. Their bytes lie as those of `tags`. */
export interface TogetherCheck {
  /** Encrypts blocks in place: of nonce and counter 1 it makes what GMAC adds to its hash. */
  mask(bytes: Uint8Array, at: number, length: number): void;
  /** True when the GHASH of these bytes is zero; they end where one more of its factors would come. */
  isZero(bytes: Uint8Array, at: number, length: number): boolean;
}

/** The link keys of one side: index is the ASID (0 to 15). */
export interface LinkKey {
  readonly asid: number;
  /** What people call it by: 64 hexadecimal digits that say nothing of its bytes. The same on both sides, whatever its ASID. */
  readonly id: string;
  readonly channel: string;
  readonly algorithm: TagAlgorithm;
  /** The authenticator of this key for one session: derives the session key (PROTOCOL.md A-4). */
  session(tsi: number): Authenticator;
}
