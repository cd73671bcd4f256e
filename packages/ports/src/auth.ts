/** Algorithms of PROTOCOL.md A-3. */
export type TagAlgorithm = 'HMAC-SHA-256-128' | 'AES-256-GMAC';

export const TAG_BYTES = 16;

/** Makes and checks the tag of datagrams of one session under one key (PROTOCOL.md section 2). */
export interface Authenticator {
  /** Writes the 16-byte tag at `tagOffset` of `datagram` (the field need not be zero before). */
  sign(datagram: Uint8Array, tagOffset: number): void;
  /** True when the tag at `tagOffset` holds. Compares in constant time; leaves the datagram as it was. */
  verify(datagram: Uint8Array, tagOffset: number): boolean;
}

/** The link keys of one side: index is the ASID (0 to 15). */
export interface LinkKey {
  readonly asid: number;
  readonly channel: string;
  readonly algorithm: TagAlgorithm;
  /** The authenticator of this key for one session: derives the session key (PROTOCOL.md A-4). */
  session(tsi: number): Authenticator;
}
