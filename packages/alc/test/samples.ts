import {
  type Fdt,
  type FdtFile,
  TAG_OFFSET,
  makeTsi,
  ntpFromUnix,
  writeFdtHeader,
  writeObjectHeader,
} from '@sluice/alc';

/** A pseudo-random generator (mulberry32): 32-bit unsigned integers from a seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

export const DIGEST = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

/** A datagram of an object with E = `symbolBytes` and random fields. */
export function objectDatagram(next: () => number, symbolBytes = 64): Uint8Array {
  const bytes = new Uint8Array(44 + symbolBytes);
  for (let at = TAG_OFFSET; at < bytes.length; at++) bytes[at] = next();
  const tsi = makeTsi(next() % 2 === 0 ? 'live' : 'media', 1 + (next() % (2 ** 30 - 1)));
  const sn = 1 + next() + (next() % 256) * 2 ** 32;
  const sbn = next() % 2 ** 24;
  writeObjectHeader(bytes, 0, {
    tsi,
    toi: 1 + (next() % (2 ** 32 - 1)),
    asid: next() % 16,
    sn: Math.min(sn, 2 ** 40 - 1),
    sbn,
    esi: next() % 255,
  });
  return bytes;
}

/** A datagram of an FDT Instance in a session with E = `symbolBytes`. */
export function fdtDatagram(next: () => number, symbolBytes = 64): Uint8Array {
  const bytes = new Uint8Array(44 + symbolBytes);
  for (let at = TAG_OFFSET; at < bytes.length; at++) bytes[at] = next();
  writeFdtHeader(bytes, 0, {
    tsi: makeTsi('live', 1 + (next() % 2 ** 29)),
    asid: next() % 16,
    sn: 1 + next(),
    sbn: 0,
    esi: next() % 255,
    instanceId: 1 + (next() % (2 ** 20 - 1)),
    transferLength: 1 + (next() % 8000),
    symbolBytes: symbolBytes - 24,
    maxBlock: 200,
    ntpSeconds: ntpFromUnix(next()),
  });
  return bytes;
}

/** The bytes with up to four random changes: a bit, a byte, a cut, an insertion. */
export function mutated(bytes: Uint8Array, next: () => number): Uint8Array {
  let out = bytes.slice();
  for (let changes = 1 + (next() % 4); changes > 0; changes--) {
    const at = out.length === 0 ? 0 : next() % out.length;
    const kind = next() % 8;
    if (kind === 0) out = out.slice(0, at);
    else if (kind === 1) out = Uint8Array.of(...out.subarray(0, at), next() & 255, ...out.subarray(at));
    else if (kind < 5) out[at] = (out[at] ?? 0) ^ (1 << (next() % 8));
    else out[at] = next();
  }
  return out;
}

export const file = (toi: number, length = 1000): FdtFile => ({
  toi,
  digest: DIGEST,
  length,
  contentType: 'application/octet-stream',
});

export const fdtOf = (files: readonly FdtFile[]): Fdt => ({
  expires: 4029873600,
  maxBlock: 200,
  symbolBytes: 1408,
  maxSymbols: 255,
  files,
});
