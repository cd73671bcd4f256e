import { encodeFdt, makeTsi, ntpFromUnix, writeFdtHeader, writeObjectHeader } from '@sluice/alc';
import type { ReceivedBatch } from '@sluice/ports';
import type { ChunkLogOptions, LogFileHandle, LogStorage } from '@sluice/pcapng';

export const PORT = 4001;
export const DATAGRAM_BYTES = 1452;
export const TSI = makeTsi('live', 186_000_000);

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

/** `count` valid datagrams of one session: every eighth is of an FDT Instance with real XML. */
export function datagrams(count: number, from = 0): ReceivedBatch {
  const next = random(from + 1);
  const bytes = new Uint8Array(count * DATAGRAM_BYTES);
  for (let at = 0; at < bytes.length; at++) bytes[at] = next();
  const xml = encodeFdt({
    expires: ntpFromUnix(1_800_000_000),
    maxBlock: 200,
    symbolBytes: 1408,
    maxSymbols: 255,
    files: [{ toi: 7, digest: `sha256:${'ab'.repeat(32)}`, length: 500_000, contentType: 'application/x-tar' }],
  });
  for (let index = 0; index < count; index++) {
    const offset = index * DATAGRAM_BYTES;
    const common = { tsi: TSI, asid: index % 16, sn: 2 ** 33 + from + index + 1, sbn: 0, esi: index % 255 };
    if (index % 8 === 0) {
      const fti = { instanceId: 1 + index, transferLength: xml.length, symbolBytes: 1384, maxBlock: 200 };
      writeFdtHeader(bytes, offset, { ...common, ...fti, esi: 0, ntpSeconds: ntpFromUnix(1_790_000_000) });
      bytes.fill(0, offset + 68, offset + DATAGRAM_BYTES);
      bytes.set(xml, offset + 68);
    } else {
      writeObjectHeader(bytes, offset, { ...common, toi: 7, sbn: 0x010203 });
    }
  }
  const offsets = Array.from({ length: count }, (_, index) => index * DATAGRAM_BYTES);
  return { bytes, offsets, lengths: offsets.map(() => DATAGRAM_BYTES), count };
}

export const datagramAt = (batch: ReceivedBatch, index: number): Uint8Array =>
  batch.bytes.subarray(batch.offsets[index] ?? 0, (batch.offsets[index] ?? 0) + (batch.lengths[index] ?? 0));

export const OPTIONS: ChunkLogOptions = {
  mode: 'full',
  interfaces: [
    {
      name: 'prod',
      sourceAddress: '192.0.2.1',
      sourcePort: 40000,
      destinationAddress: '192.0.2.2',
      destinationPort: PORT,
    },
    {
      name: 'test',
      sourceAddress: '192.0.2.1',
      sourcePort: 40001,
      destinationAddress: '192.0.2.2',
      destinationPort: 4002,
    },
  ],
  section: { application: 'sluice 0.1.0', os: 'Linux', comment: 'chunk log' },
  fileBytes: 1024 * 1024,
  fileAgeMs: 60_000,
  totalBytes: 64 * 1024 * 1024,
  bufferBytes: 8 * 1024 * 1024,
  flushMs: 1_000_000,
  retryMs: 5_000,
};

/** A clock that stands still until it is moved. */
export class TestClock {
  ms = 1_790_000_000_000;
  wallMs(): number {
    return this.ms;
  }
  upMs(): number {
    return this.ms;
  }
}

/** Files in memory, with a disk that can be told to fail. */
export class MemoryStorage implements LogStorage {
  readonly files = new Map<string, Uint8Array>();
  open = 0;
  /** Thrown by creates and writes while it is set. */
  failure: string | undefined;
  /** A write that fails leaves this many bytes behind, as a full disk does. */
  torn = 0;

  #check(): void {
    if (this.failure !== undefined) throw Object.assign(new Error(this.failure), { code: this.failure });
  }

  #put(name: string, bytes: Uint8Array, position: number): void {
    const old = this.files.get(name) ?? new Uint8Array(0);
    const grown = new Uint8Array(Math.max(old.length, position + bytes.length));
    grown.set(old);
    grown.set(bytes, position);
    this.files.set(name, grown);
  }

  async create(name: string): Promise<LogFileHandle> {
    await Promise.resolve();
    this.#check();
    if (this.files.has(name)) throw Object.assign(new Error('EEXIST'), { code: 'EEXIST' });
    this.files.set(name, new Uint8Array(0));
    this.open++;
    return {
      write: async (bytes, position) => {
        await Promise.resolve();
        if (this.failure !== undefined) this.#put(name, bytes.subarray(0, this.torn), position);
        this.#check();
        this.#put(name, bytes, position);
      },
      truncate: async (bytes) => {
        await Promise.resolve();
        this.files.set(name, (this.files.get(name) ?? new Uint8Array(0)).slice(0, bytes));
      },
      close: async () => {
        await Promise.resolve();
        this.open--;
      },
    };
  }

  async list(): Promise<{ name: string; bytes: number }[]> {
    await Promise.resolve();
    // Newest first: no order is promised.
    return [...this.files].map(([name, bytes]) => ({ name, bytes: bytes.length })).reverse();
  }

  async remove(name: string): Promise<void> {
    await Promise.resolve();
    this.files.delete(name);
  }
}

export async function* pieces(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
