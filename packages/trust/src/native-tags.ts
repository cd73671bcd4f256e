// Tags through OpenSSL's public functions, which the Node binary exports. Loaded only where native code is wanted.
import { endianness } from 'node:os';
import { type Authenticator, TAG_BYTES, TAG_JOB_WORDS, type TagAlgorithm, type TogetherCheck } from '@sluice/ports';
import koffi from 'koffi';
import { SN_BYTES, SN_OFFSET, type TagAccelerator, TSI_OFFSET } from './linkkeys.ts';

if (endianness() !== 'LE') throw new Error('native tags are laid out for little-endian processors');

/** The program itself: OpenSSL is part of it. */
const program = koffi.load(null);

/** Addresses are below 2^47, so they are exact as numbers, and no call allocates. `null` is 0. */
const openssl = {
  /** EVP_CIPHER_fetch(3), EVP_EncryptInit(3). */
  fetchCipher: program.func('uintptr_t EVP_CIPHER_fetch(uintptr_t, const char *, uintptr_t)'),
  newCipherContext: program.func('uintptr_t EVP_CIPHER_CTX_new()'),
  freeCipherContext: program.func('void EVP_CIPHER_CTX_free(uintptr_t)'),
  init: program.func('int EVP_EncryptInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t)'),
  update: program.func('int EVP_EncryptUpdate(uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)'),
  final: program.func('int EVP_EncryptFinal_ex(uintptr_t, uintptr_t, uintptr_t)'),
  padding: program.func('int EVP_CIPHER_CTX_set_padding(uintptr_t, int)'),
  control: program.func('int EVP_CIPHER_CTX_ctrl(uintptr_t, int, int, uintptr_t)'),
  /** SHA256(3): the state is a structure of the caller's, so one half-way through can be kept and copied. */
  sha256Init: program.func('int SHA256_Init(uintptr_t)'),
  sha256Update: program.func('int SHA256_Update(uintptr_t, uintptr_t, size_t)'),
  sha256Final: program.func('int SHA256_Final(uintptr_t, uintptr_t)'),
  sha256Transform: program.func('void SHA256_Transform(uintptr_t, uintptr_t)'),
} as unknown as Readonly<Record<'newCipherContext', () => number>> &
  Readonly<Record<'fetchCipher', (library: number, name: string, properties: number) => number>> &
  Readonly<
    Record<
      | 'freeCipherContext'
      | 'init'
      | 'update'
      | 'final'
      | 'control'
      | 'padding'
      | 'sha256Init'
      | 'sha256Update'
      | 'sha256Final'
      | 'sha256Transform',
      (...words: number[]) => number
    >
  >;

const EVP_CTRL_AEAD_GET_TAG = 0x10;
const NONCE_BYTES = 12;
const BLOCK_BYTES = 64;
const SHA256_BYTES = 32;
/** SHA256_CTX of <openssl/sha.h>: h[8], Nl, Nh, data[16], num, md_len; words of 32 bits. */
const SHA256_STATE_WORDS = 28;
/** Bits that the outer hash has taken in all: one block of padding and the inner hash. */
const OUTER_BITS = (BLOCK_BYTES + SHA256_BYTES) * 8;

/** The address of memory that never moves. */
const addressOf = (buffer: SharedArrayBuffer): number => Number(koffi.address(new Uint8Array(buffer)));

/** What the calls of one authenticator work in. */
const scratch = (bytes: number): { readonly bytes: Uint8Array; readonly address: number } => {
  const buffer = new SharedArrayBuffer(bytes);
  return { bytes: new Uint8Array(buffer), address: addressOf(buffer) };
};

/** The addresses of the memories that datagrams lie in: one or two in a process. */
const known = new WeakMap<ArrayBufferLike, number>();

function baseOf(bytes: Uint8Array): number {
  const address = known.get(bytes.buffer);
  if (address !== undefined) return address + bytes.byteOffset;
  if (!(bytes.buffer instanceof SharedArrayBuffer)) throw new TypeError('datagrams must lie in a SharedArrayBuffer');
  const found = addressOf(bytes.buffer);
  known.set(bytes.buffer, found);
  return found + bytes.byteOffset;
}

const contexts = new FinalizationRegistry<number>((context) => void openssl.freeCipherContext(context));

/** One call of a batch. The tag field of the datagram is zero. */
type TagOne = (base: number, bytes: Uint8Array, at: number, length: number, to: number) => void;

/** Fetched once for all sessions: it is counted, and never given back. */
const ciphers = new Map<string, number>();

/** A context that keeps the key schedule, for as long as its owner. */
function contextOf(owner: object, name: string, key: Uint8Array): number {
  const work = scratch(SHA256_BYTES);
  const context = openssl.newCipherContext();
  contexts.register(owner, context);
  const cipher = ciphers.get(name) ?? openssl.fetchCipher(0, name, 0);
  ciphers.set(name, cipher);
  work.bytes.set(key);
  const began = cipher !== 0 && openssl.init(context, cipher, 0, work.address, 0) === 1;
  work.bytes.fill(0);
  if (!began) throw new Error(`OpenSSL has no ${name}`);
  return context;
}

/** AES-256-GMAC: the nonce is given anew for each datagram. */
function gmac(owner: object, key: Uint8Array): TagOne {
  const work = scratch(NONCE_BYTES + 4);
  const [nonce, length] = [work.address, work.address + NONCE_BYTES];
  const context = contextOf(owner, 'AES-256-GCM', key);
  const snAt = NONCE_BYTES - SN_BYTES;
  return (base, bytes, at, size, to) => {
    for (let i = 0; i < 4; i += 1) work.bytes[i] = bytes[at + TSI_OFFSET + i] ?? 0;
    for (let i = 0; i < SN_BYTES; i += 1) work.bytes[snAt + i] = bytes[at + SN_OFFSET + i] ?? 0;
    const done =
      openssl.init(context, 0, 0, 0, nonce) &
      openssl.update(context, 0, length, base + at, size) &
      openssl.final(context, base + to, length) &
      openssl.control(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, base + to);
    if (done !== 1) throw new Error('OpenSSL made no tag');
  };
}

/** A nonce that no datagram has: its session would be 0xffffffff, of a class that is none. What is made with it never leaves the process. */
const NO_NONCE = 0xff;
const ZERO_PAGE = 4096;

/** GMAC's two halves. The hash of any bytes is zero when its tag is that of as many zero bytes, whose hash is zero. */
function gmacTogether(owner: object, key: Uint8Array): TogetherCheck {
  const work = scratch(NONCE_BYTES + 4 + TAG_BYTES + ZERO_PAGE);
  work.bytes.fill(NO_NONCE, 0, NONCE_BYTES);
  const [nonce, length, tag] = [work.address, work.address + NONCE_BYTES, work.address + NONCE_BYTES + 4];
  const got = work.bytes.subarray(NONCE_BYTES + 4, NONCE_BYTES + 4 + TAG_BYTES);
  const zeros = tag + TAG_BYTES;
  const hash = contextOf(owner, 'AES-256-GCM', key);
  const block = contextOf(owner, 'AES-256-ECB', key);
  openssl.padding(block, 0);
  const tagOf = (feed: () => number): Uint8Array => {
    const done =
      openssl.init(hash, 0, 0, 0, nonce) &
      feed() &
      openssl.final(hash, tag, length) &
      openssl.control(hash, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag);
    if (done !== 1) throw new Error('OpenSSL made no tag');
    return got;
  };
  const feedZeros = (bytes: number): number => {
    let done = 1;
    for (let left = bytes; left > 0; left -= ZERO_PAGE)
      done &= openssl.update(hash, 0, length, zeros, Math.min(ZERO_PAGE, left));
    return done;
  };
  const ofZeros = new Map<number, Uint8Array>();
  const expected = (bytes: number): Uint8Array => {
    const known = ofZeros.get(bytes) ?? tagOf(() => feedZeros(bytes)).slice();
    ofZeros.set(bytes, known);
    return known;
  };
  return {
    mask: (bytes, at, size) => {
      const address = baseOf(bytes) + at;
      if (openssl.update(block, address, length, address, size) !== 1) throw new Error('OpenSSL encrypted nothing');
    },
    isZero: (bytes, at, size) => {
      const wanted = expected(size);
      const made = tagOf(() => openssl.update(hash, 0, length, baseOf(bytes) + at, size));
      // All bits are looked at, whatever differs.
      return made.reduce((differs, byte, i) => differs | (byte ^ (wanted[i] ?? 0)), 0) === 0;
    },
  };
}

/** HMAC-SHA-256-128: both padded keys are hashed once (RFC 2104 section 4); each datagram goes on from there. */
function hmac(key: Uint8Array): TagOne {
  const STATE_BYTES = SHA256_STATE_WORDS * 4;
  const [innerAt, outerAt, stateAt, blockAt] = [0, STATE_BYTES, 2 * STATE_BYTES, 3 * STATE_BYTES];
  const work = scratch(3 * STATE_BYTES + BLOCK_BYTES);
  const words = new Uint32Array(work.bytes.buffer, 0, 3 * SHA256_STATE_WORDS);
  const state = work.address + stateAt;
  const block = work.address + blockAt;
  for (const [at, pad] of [
    [innerAt, 0x36],
    [outerAt, 0x5c],
  ] as const) {
    work.bytes.fill(pad, blockAt);
    key.forEach((byte, i) => (work.bytes[blockAt + i] = byte ^ pad));
    openssl.sha256Init(work.address + at);
    openssl.sha256Update(work.address + at, block, BLOCK_BYTES);
  }
  // The outer hash takes one block more: the inner hash and its padding, of which only the first half ever changes.
  work.bytes.fill(0, blockAt);
  work.bytes[blockAt + SHA256_BYTES] = 0x80;
  new DataView(work.bytes.buffer).setUint32(blockAt + BLOCK_BYTES - 4, OUTER_BITS);
  const restore = (from: number): void => {
    words.copyWithin(stateAt / 4, from / 4, from / 4 + SHA256_STATE_WORDS);
  };
  return (base, bytes, at, size, to) => {
    restore(innerAt);
    openssl.sha256Update(state, base + at, size);
    openssl.sha256Final(block, state);
    restore(outerAt);
    openssl.sha256Transform(state, block);
    for (let i = 0; i < TAG_BYTES; i += 4) {
      const word = words[(stateAt + i) / 4] ?? 0;
      bytes[to + i] = word >>> 24;
      bytes[to + i + 1] = word >>> 16;
      bytes[to + i + 2] = word >>> 8;
      bytes[to + i + 3] = word;
    }
  };
}

class NativeAuthenticator implements Authenticator {
  readonly #reference: Authenticator;
  readonly #algorithm: TagAlgorithm;
  readonly #key: Uint8Array;
  #tagOne: TagOne | undefined;
  #together: TogetherCheck | undefined;

  constructor(reference: Authenticator, algorithm: TagAlgorithm, key: Uint8Array) {
    this.#reference = reference;
    this.#algorithm = algorithm;
    this.#key = key;
  }

  get together(): TogetherCheck | undefined {
    if (this.#algorithm === 'AES-256-GMAC') this.#together ??= gmacTogether(this, this.#key);
    return this.#together;
  }

  sign(datagram: Uint8Array, tagOffset: number): void {
    this.#reference.sign(datagram, tagOffset);
  }

  verify(datagram: Uint8Array, tagOffset: number): boolean {
    return this.#reference.verify(datagram, tagOffset);
  }

  tags(bytes: Uint8Array, jobs: Uint32Array, count: number): void {
    // Made on first use: a session of which only forged datagrams come never gets here.
    this.#tagOne ??= this.#algorithm === 'AES-256-GMAC' ? gmac(this, this.#key) : hmac(this.#key);
    const one = this.#tagOne;
    const base = baseOf(bytes);
    const end = count * TAG_JOB_WORDS;
    for (let i = 0; i < end; i += TAG_JOB_WORDS) one(base, bytes, jobs[i] ?? 0, jobs[i + 1] ?? 0, jobs[i + 2] ?? 0);
  }
}

export const accelerateNatively: TagAccelerator = (reference, algorithm, key) =>
  new NativeAuthenticator(reference, algorithm, key);
