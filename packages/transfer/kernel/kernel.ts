// What is done for every datagram, on whole batches in one arena: AssemblyScript, not TypeScript. `build.ts` compiles it to
// ../src/kernel.wasm.ts. The plain form of each function is TypeScript beside it in ../src, and tests hold the two equal.
// It checks nothing that the host laid out: addresses, counts and lengths are the host's. What the wire says is never used
// as an address: it is compared, or range-checked first.

// Offsets of docs/PROTOCOL.md section 1, as in alc/src/layout.ts.
const TSI: usize = 8;
const TOI: usize = 12;
const AUTH: usize = 16;
const SN: usize = 19;
const TAG: usize = 24;
const SBN: usize = 40;
const HEADER: usize = 44;
/** The first four bytes of an object's datagram, read little-endian. */
const LCT: u32 = 0x050aa010;
/** HET 1 and HEL 6, read little-endian. */
const AUTH_WORD: u16 = 0x0601;

function readSn(at: usize): u64 {
  return ((<u64>load<u8>(at, SN)) << 32) | bswap<u32>(load<u32>(at, SN + 1));
}

// ---------------------------------------------------------------------------------------------------------------- sending

/**
 * Writes the headers of one block's symbols, all but the sequence number, and copies its source symbols.
 * @param order for each symbol its slot (u32), @param esis for each symbol its ESI (u8)
 * @param outs receives the address of each symbol's bytes (u32), for the encoder
 * @returns how many were source symbols
 */
export function frame(
  slots: usize,
  datagramBytes: u32,
  order: usize,
  esis: usize,
  count: u32,
  source: usize,
  symbolBytes: u32,
  k: u32,
  tsi: u32,
  toi: u32,
  asid: u32,
  sbn: u32,
  outs: usize,
): u32 {
  let sources: u32 = 0;
  for (let i: usize = 0; i < count; i += 1) {
    const at = slots + <usize>load<u32>(order + (i << 2)) * datagramBytes;
    const esi: u32 = load<u8>(esis + i);
    store<u32>(at, LCT);
    store<u32>(at, 0, 4);
    store<u32>(at, bswap<u32>(tsi), TSI);
    store<u32>(at, bswap<u32>(toi), TOI);
    store<u16>(at, AUTH_WORD, AUTH);
    store<u8>(at, <u8>((asid << 4) | 1), AUTH + 2);
    store<u64>(at, 0, TAG);
    store<u64>(at, 0, TAG + 8);
    store<u32>(at, bswap<u32>((sbn << 8) | esi), SBN);
    store<u32>(outs + (i << 2), <u32>(at + HEADER));
    if (esi < k) {
      memory.copy(at + HEADER, source + <usize>esi * symbolBytes, symbolBytes);
      sources += 1;
    }
  }
  return sources;
}

/** Gives `count` datagrams that lie end to end their sequence numbers from `sn` on, and lists them for the tags. */
export function stamp(at: usize, datagramBytes: u32, count: u32, sn: f64, jobs: usize): void {
  let number = <u64>sn;
  for (let i: u32 = 0; i < count; i += 1) {
    store<u8>(at, <u8>(number >> 32), SN);
    store<u32>(at, bswap<u32>(<u32>number), SN + 1);
    store<u32>(jobs, <u32>at);
    store<u32>(jobs, datagramBytes, 4);
    store<u32>(jobs, <u32>(at + TAG), 8);
    jobs += 12;
    at += datagramBytes;
    number += 1;
  }
}

// -------------------------------------------------------------------------------------------------------------- receiving

// What became of a datagram; receive/kernel.ts names them. The last ones are not verdicts yet.
const ACCEPTED: u8 = 0;
const SURPLUS: u8 = 1;
const REPLAYED: u8 = 2;
const BAD_TAG: u8 = 3;
/** The tag is to be checked. */
const CANDIDATE: u8 = 250;
/** All of it is the host's. */
const HOST: u8 = 251;
/** Authentic: the host finds out where its symbol belongs. */
const PLACE: u8 = 252;
/** Its symbol made its block whole: the host goes on. */
const WHOLE: u8 = 253;

const WINDOW: u64 = 65536;

// Where the host laid things out.
let offsets: usize = 0;
let lengths: usize = 0;
let codes: usize = 0;
let savedTags: usize = 0;
let computedTags: usize = 0;
let jobs: usize = 0;
let cache: usize = 0;
let cacheMask: u32 = 0;
let counts: usize = 0;
let capacity: u32 = 0;

export function layOut(
  offsetsAt: usize,
  lengthsAt: usize,
  codesAt: usize,
  savedTagsAt: usize,
  computedTagsAt: usize,
  jobsAt: usize,
  cacheAt: usize,
  cacheEntries: u32,
  countsAt: usize,
  datagrams: u32,
): void {
  offsets = offsetsAt;
  lengths = lengthsAt;
  codes = codesAt;
  savedTags = savedTagsAt;
  computedTags = computedTagsAt;
  jobs = jobsAt;
  cache = cacheAt;
  cacheMask = cacheEntries - 1;
  counts = countsAt;
  capacity = datagrams;
}

// The one session and key that are judged here; datagrams of others are the host's.
let sessionTsi: u32 = 0;
let authWord: u32 = 0;
let sessionBytes: u32 = 0;
let window: usize = 0;

/** @param windowAt a bit for each of the last 65,536 sequence numbers, then highest, lowest and count (f64). 0: no session. */
export function follow(tsi: u32, asid: u32, datagramBytes: u32, windowAt: usize): void {
  sessionTsi = bswap<u32>(tsi);
  authWord = (<u32>AUTH_WORD) | (((asid << 4) | 1) << 16);
  sessionBytes = datagramBytes;
  window = windowAt;
}

/** The byte of the window that has the bit of a sequence number, and the bit in it. */
function byteOf(sn: u64): usize {
  return window + ((<usize>(sn & (WINDOW - 1))) >> 3);
}

function maskOf(sn: u64): u32 {
  const bit = <u32>(sn & 7);
  return 1 << bit;
}

/** As ReplayWindow.has. */
function seen(sn: u64): bool {
  const highest = <u64>load<f64>(window, 8192);
  if (sn == 0 || sn + WINDOW <= highest) return true;
  if (sn > highest) return false;
  return (load<u8>(byteOf(sn)) & maskOf(sn)) != 0;
}

/** As ReplayWindow.add. */
function take(sn: u64): void {
  const highest = <u64>load<f64>(window, 8192);
  const count = load<f64>(window, 8208);
  if (sn > highest) {
    if (sn - highest >= WINDOW) memory.fill(window, 0, 8192);
    else for (let n = highest + 1; n <= sn; n += 1) store<u8>(byteOf(n), load<u8>(byteOf(n)) & ~maskOf(n));
    store<f64>(window, <f64>sn, 8192);
  }
  store<u8>(byteOf(sn), load<u8>(byteOf(sn)) | maskOf(sn));
  const lowest = load<f64>(window, 8200);
  if (count == 0 || <f64>sn < lowest) store<f64>(window, <f64>sn, 8200);
  store<f64>(window, count + 1, 8208);
}

/** Tells datagrams that the kernel merged apart. Each run is offset, bytes, bytes of a datagram (u32). @returns how many */
export function split(runs: usize, count: u32): u32 {
  let n: u32 = 0;
  for (let i: u32 = 0; i < count; i += 1) {
    let at = load<u32>(runs);
    let left = load<u32>(runs, 4);
    const size = load<u32>(runs, 8);
    runs += 12;
    do {
      if (n == capacity) return n;
      const length = min(left, size);
      store<u32>(offsets + ((<usize>n) << 2), at);
      store<u32>(lengths + ((<usize>n) << 2), length);
      n += 1;
      at += length;
      left -= length;
    } while (left > 0);
  }
  return n;
}

/**
 * Compares at fixed offsets (L-1). A candidate's tag is put aside, its field zeroed, and it is listed for the tags.
 * @returns how many are candidates
 */
export function admit(count: u32): u32 {
  let n: u32 = 0;
  for (let i: usize = 0; i < count; i += 1) {
    const at = <usize>load<u32>(offsets + (i << 2));
    const length = load<u32>(lengths + (i << 2));
    let code = HOST;
    if (
      window != 0 &&
      length == sessionBytes &&
      load<u32>(at) == LCT &&
      load<u32>(at, 4) == 0 &&
      load<u32>(at, TSI) == sessionTsi &&
      load<u32>(at, TOI) != 0 &&
      (load<u32>(at, AUTH) & 0xffffff) == authWord &&
      load<u8>(at, SBN + 3) != 255 &&
      readSn(at) != 0
    ) {
      if (seen(readSn(at))) code = REPLAYED;
      else {
        code = CANDIDATE;
        const tag = i << 4;
        store<u64>(savedTags + tag, load<u64>(at, TAG));
        store<u64>(savedTags + tag, load<u64>(at, TAG + 8), 8);
        store<u64>(at, 0, TAG);
        store<u64>(at, 0, TAG + 8);
        const job = jobs + <usize>n * 12;
        store<u32>(job, <u32>at);
        store<u32>(job, length, 4);
        store<u32>(job, <u32>(computedTags + tag), 8);
        n += 1;
      }
    }
    store<u8>(codes + i, code);
  }
  return n;
}

// Checking tags together (docs/adr/0009): GHASH over every datagram with what its own GHASH must be after it, which is zero
// as long as all tags hold.

const BLOCK: usize = 16;

/** Writes the nonce of each of these candidates, and the counter 1 behind it. */
export function nonces(first: u32, count: u32, to: usize): void {
  for (let i = first; i < first + count; i += 1) {
    const at = <usize>load<u32>(jobs + <usize>i * 12);
    store<u32>(to, load<u32>(at, TSI));
    store<u32>(to, 0, 4);
    store<u8>(to, load<u8>(at, SN), 7);
    store<u32>(to, load<u32>(at, SN + 1), 8);
    store<u32>(to, 0x01000000, 12);
    to += BLOCK;
  }
}

/**
 * Writes each of these candidates, its tag field zero, padded to whole blocks; then its length block; then its tag and mask
 * added. @returns bytes written
 */
export function chain(first: u32, count: u32, masks: usize, to: usize): u32 {
  const begin = to;
  for (let i = first; i < first + count; i += 1) {
    const job = jobs + <usize>i * 12;
    const at = <usize>load<u32>(job);
    const length = <usize>load<u32>(job, 4);
    const saved = savedTags + (<usize>load<u32>(job, 8) - computedTags);
    const end = to + ((length + BLOCK - 1) & ~(BLOCK - 1));
    store<u64>(end - BLOCK, 0);
    store<u64>(end - BLOCK, 0, 8);
    memory.copy(to, at, length);
    store<u64>(end, bswap<u64>((<u64>length) << 3));
    store<u64>(end, 0, 8);
    store<u64>(end, load<u64>(saved) ^ load<u64>(masks), BLOCK);
    store<u64>(end, load<u64>(saved, 8) ^ load<u64>(masks, 8), BLOCK + 8);
    masks += BLOCK;
    to = end + 2 * BLOCK;
  }
  return <u32>(to - begin);
}

/** The tags of these candidates hold: they are what would have been computed. */
export function vouch(first: u32, count: u32): void {
  for (let i = first; i < first + count; i += 1) {
    const computed = <usize>load<u32>(jobs + <usize>i * 12, 8);
    const saved = savedTags + (computed - computedTags);
    store<u64>(computed, load<u64>(saved));
    store<u64>(computed, load<u64>(saved, 8), 8);
  }
}

/**
 * Judges the datagrams from `from` on, in their order, and places their symbols, up to the first one that the host must
 * see: HOST, PLACE or WHOLE is its code. @returns its index, or `count`
 */
export function place(from: u32, count: u32): u32 {
  for (let i = <usize>from; i < <usize>count; i += 1) {
    let code = load<u8>(codes + i);
    if (code == CANDIDATE) {
      code = judge(i, <usize>load<u32>(offsets + (i << 2)));
      store<u8>(codes + i, code);
    }
    if (code >= HOST) return <u32>i;
    const counter = counts + ((<usize>code) << 2);
    store<u32>(counter, load<u32>(counter) + 1);
  }
  return count;
}

function judge(i: usize, at: usize): u8 {
  const saved = savedTags + (i << 4);
  const computed = computedTags + (i << 4);
  const first = load<u64>(saved);
  const second = load<u64>(saved, 8);
  store<u64>(at, first, TAG);
  store<u64>(at, second, TAG + 8);
  // The session may have ended since `admit`.
  if (window == 0 || load<u32>(at, TSI) != sessionTsi || (load<u32>(at, AUTH) & 0xffffff) != authWord) return HOST;
  const sn = readSn(at);
  if (seen(sn)) return REPLAYED;
  // All bits are looked at, whatever differs.
  if (((first ^ load<u64>(computed)) | (second ^ load<u64>(computed, 8))) != 0) return BAD_TAG;
  take(sn);
  const toi = bswap<u32>(load<u32>(at, TOI));
  const word = bswap<u32>(load<u32>(at, SBN));
  const entry = cache + ((<usize>(hash(toi, word >> 8) & cacheMask)) << 4);
  const record = load<u32>(entry, 8);
  if (record == 0 || load<u32>(entry) != toi || load<u32>(entry, 4) != word >> 8) return PLACE;
  if (record == 1) {
    store<u32>(entry, load<u32>(entry, 12) + 1, 12);
    return SURPLUS;
  }
  return add(<usize>record, word & 255, at + HEADER, <usize>(sessionBytes - <u32>HEADER));
}

/** Where an entry of the cache lies: `receive/kernel.ts` says the same. */
function hash(toi: u32, sbn: u32): u32 {
  return toi * 0x9e3779b1 + sbn;
}

// A block being gathered: address of its bytes, k, symbols there, highest slot that may be free (u32 each), ESIs seen
// (256 bits), ESI in each slot (u8, 255 for none). As GatheringBlock in receive/gather.ts.
const RECORD_SEEN: usize = 16;
const RECORD_ESIS: usize = 48;

/** As GatheringBlock.add. */
function add(record: usize, esi: u32, symbol: usize, bytes: usize): u8 {
  const word = record + ((<usize>(esi >> 5)) << 2);
  const mask: u32 = 1 << (esi & 31);
  const bits = load<u32>(word, RECORD_SEEN);
  if ((bits & mask) != 0) return SURPLUS;
  store<u32>(word, bits | mask, RECORD_SEEN);
  const data = <usize>load<u32>(record);
  const k = load<u32>(record, 4);
  let slot = esi;
  if (esi < k) {
    const held = load<u8>(record + <usize>esi, RECORD_ESIS);
    if (held != 255) {
      // A repair symbol that sits where this one belongs moves away.
      const to = <usize>freeSlot(record);
      store<u8>(record + to, held, RECORD_ESIS);
      memory.copy(data + to * bytes, data + <usize>esi * bytes, bytes);
    }
  } else slot = freeSlot(record);
  store<u8>(record + <usize>slot, <u8>esi, RECORD_ESIS);
  memory.copy(data + <usize>slot * bytes, symbol, bytes);
  const have = load<u32>(record, 8) + 1;
  store<u32>(record, have, 8);
  return have == k ? WHOLE : ACCEPTED;
}

/** The highest empty slot. A block that is not whole has one. */
function freeSlot(record: usize): u32 {
  let free = load<u32>(record, 12);
  while (load<u8>(record + <usize>free, RECORD_ESIS) != 255) free -= 1;
  store<u32>(record, free, 12);
  return free;
}
