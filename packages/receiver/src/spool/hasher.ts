import { createHash, type Hash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, read, readSync, statSync } from 'node:fs';
import { PACK_BYTES_LIMIT, readPack } from '@sluice/bundle';
import { hexOf, inOrder, refuse } from '@sluice/ports';
import { Arena } from '@sluice/wasm';
import { openSpooledSync, stampOf } from '../spooled.ts';
import type { Finished, FromSpoolThread, Member, SpoolFile, ToSpoolThread } from './messages.ts';

const SLICE_BYTES = 8 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;
/** Pieces being read or hashed. */
const READS = 3;
const FOLLOWED_MAX = 256;
/** Direct reads want memory, file position and length at multiples of this. */
const PAGE_BYTES = 4096;

/** A file on its way through the hash. */
class Hashing {
  readonly #descriptor: number;
  /** The same file past the page cache, where the file system has that: link wrote it so, and nobody reads it soon again. */
  #direct: number | undefined;
  #useless: number | undefined;
  readonly #hash: Hash = createHash('sha256');
  readonly #file: SpoolFile;
  #done = 0;
  /** Bytes that may be read. */
  #there = 0;
  #reading = false;
  #closed = false;

  constructor(file: SpoolFile) {
    this.#file = file;
    this.#descriptor = openSpooledSync(file.path);
    this.#direct = openDirect(this.#descriptor);
  }

  /** True when a path leads to this very file, which may have got another name since. */
  is(path: string): boolean {
    const [opened, named] = [fstatSync(this.#descriptor), statSync(path)];
    return opened.ino === named.ino && opened.dev === named.dev;
  }

  grow(bytes: number): void {
    this.#there = Math.max(this.#there, Math.min(bytes, this.#file.size));
  }

  /** Whole pieces are read, so that each begins where a direct read may; the rest with the end of the file. */
  get waits(): boolean {
    return this.#done < (this.#there === this.#file.size ? this.#there : this.#there - (this.#there % READ_BYTES));
  }

  /** Hashes one slice of what is there, each piece while the next ones are read; false when less is there than was said. */
  async slice(buffers: readonly Uint8Array[]): Promise<boolean> {
    this.#reading = true;
    const begin = this.#done;
    const bytes = Math.min(SLICE_BYTES, this.#there - begin);
    const pieces = inOrder(Math.ceil(bytes / READ_BYTES), READS, (index) => {
      const from = index * READ_BYTES;
      const buffer = buffers[index % READS] ?? new Uint8Array();
      return this.#read(buffer, begin + from, Math.min(READ_BYTES, bytes - from));
    });
    try {
      for await (const piece of pieces) {
        this.#hash.update(piece);
        this.#done += piece.length;
        if (this.#closed) break;
      }
      return this.#done === begin + bytes;
    } finally {
      this.#reading = false;
      if (this.#closed) this.#shut();
    }
  }

  /** What the file has from `offset` on; fewer than `wanted` bytes only at its end. */
  async #read(buffer: Uint8Array, offset: number, wanted: number): Promise<Uint8Array> {
    let got = await this.#past(buffer, offset, wanted);
    while (got < wanted) {
      const more = await readAt(this.#descriptor, buffer.subarray(got, wanted), offset + got);
      if (more === 0) break;
      got += more;
    }
    return buffer.subarray(0, Math.min(got, wanted));
  }

  async #past(buffer: Uint8Array, offset: number, wanted: number): Promise<number> {
    if (this.#direct === undefined) return 0;
    try {
      return await readAt(this.#direct, buffer.subarray(0, Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES), offset);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      // The disk has longer blocks, or the memory lies otherwise than it seems. Others may be reading through it: it is closed with the file.
      this.#useless ??= this.#direct;
      this.#direct = undefined;
      return 0;
    }
  }

  /** Of a whole file that was hashed to its end. */
  end(): Finished {
    const stats = fstatSync(this.#descriptor, { bigint: true });
    const holds = this.#hash.digest('hex') === hexOf(this.#file.digest) && stats.size === BigInt(this.#file.size);
    return holds ? { type: 'holds', members: [], stamp: stampOf(stats) } : { type: 'damaged' };
  }

  /** What is being read is read to its end first: nothing may read what then has the number of this file. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#reading) this.#shut();
  }

  #shut(): void {
    const direct = this.#direct ?? this.#useless;
    if (direct !== undefined) closeSync(direct);
    closeSync(this.#descriptor);
  }
}

/** Not every file system has it (tmpfs before Linux 6.6). */
function openDirect(descriptor: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${String(descriptor)}`, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}

const readAt = (descriptor: number, bytes: Uint8Array, position: number): Promise<number> =>
  new Promise((resolve, reject) => {
    read(descriptor, bytes, 0, bytes.length, position, (error, got) => {
      if (error === null) resolve(got);
      else reject(error);
    });
  });

interface Finishing {
  readonly call: number;
  readonly asPack: boolean;
  readonly file: SpoolFile;
}

/**
 * Hashes what lies in the spool; a thread of its own does this, since hashes and packs take long. One slice of each file in turn: a
 * statement does not wait for a large object.
 */
export class SpoolHasher {
  readonly #tell: (message: FromSpoolThread) => void;
  readonly #moved: () => void;
  /** Made with the first file that is not read in one piece. */
  #buffers: readonly Uint8Array[] | undefined;
  readonly #hashings = new Map<string, Hashing>();
  readonly #finishing = new Map<string, Finishing[]>();
  #running = false;

  /** @param moved called with each slice that was hashed, and each answer */
  constructor(tell: (message: FromSpoolThread) => void, moved = (): void => undefined) {
    this.#tell = tell;
    this.#moved = moved;
  }

  take(message: ToSpoolThread): void {
    if (message.type === 'drop') {
      this.#fail(message.name, Object.assign(new Error(`${message.name} is wanted no longer`), { code: 'ECANCELED' }));
      return;
    }
    const { file } = message;
    if (message.type === 'finish') {
      const { call, asPack } = message;
      this.#finishing.set(file.name, [...(this.#finishing.get(file.name) ?? []), { call, asPack, file }]);
    }
    try {
      if (message.type === 'follow') this.#hashingOf(file).grow(message.bytes);
      else if (message.asPack && file.size <= PACK_BYTES_LIMIT) this.#settle(file.name, openPack(file));
      else this.#finish(file);
    } catch (error) {
      this.#fail(file.name, error);
    }
    void this.#run();
  }

  #finish(file: SpoolFile): void {
    const known = this.#hashings.get(file.name);
    if (known?.is(file.path) === false) {
      known.close();
      this.#hashings.delete(file.name);
    }
    this.#hashingOf(file).grow(file.size);
  }

  #hashingOf(file: SpoolFile): Hashing {
    const known = this.#hashings.get(file.name);
    if (known !== undefined) return known;
    const hashing = new Hashing(file);
    this.#hashings.set(file.name, hashing);
    if (this.#hashings.size > FOLLOWED_MAX) this.#forgetOldest(file.name);
    return hashing;
  }

  /** Each file that is followed is open. One too many is hashed from its beginning when it is whole. */
  #forgetOldest(besides: string): void {
    for (const [name, hashing] of this.#hashings) {
      if (name === besides || this.#finishing.has(name)) continue;
      hashing.close();
      this.#hashings.delete(name);
      return;
    }
  }

  /** Slice by slice, as long as there is something to do; messages are heard in between. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let busy = this.#work(); busy.length > 0; busy = this.#work()) {
      for (const [name, hashing] of busy) {
        if (this.#hashings.get(name) === hashing) await this.#step(name, hashing);
        await new Promise(setImmediate);
      }
    }
    this.#running = false;
  }

  #work(): readonly (readonly [string, Hashing])[] {
    return [...this.#hashings].filter(([name, hashing]) => hashing.waits || this.#finishing.has(name));
  }

  async #step(name: string, hashing: Hashing): Promise<void> {
    try {
      const isThere = !hashing.waits || (await hashing.slice((this.#buffers ??= readBuffers())));
      this.#moved();
      // Meanwhile it may have been dropped, or begun anew.
      if (this.#hashings.get(name) !== hashing) return;
      if (!isThere) this.#settle(name, { type: 'damaged' });
      else if (!hashing.waits && this.#finishing.has(name)) this.#settle(name, hashing.end());
    } catch (error) {
      if (this.#hashings.get(name) === hashing) this.#fail(name, error);
    }
  }

  /** Answers those who wait for the end of a file. Of one that is only followed the next look begins anew. */
  #settle(name: string, finished: Finished): void {
    for (const { call, asPack, file } of this.#end(name)) {
      const refused = asPack && file.size > PACK_BYTES_LIMIT && finished.type === 'holds';
      const { error: refusal } = refuse('tar-malformed', `pack ${file.digest} is larger than a pack may be`);
      this.#tell({ call, finished: refused ? { type: 'refused', refusal } : finished });
    }
  }

  /**
   * The file cannot be read: those who wait for it hear of it. What is no error of the file system is a mistake of ours. One
   * that is not there does not come back: the store took it before this start, and has lost it since.
   */
  #fail(name: string, error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === 'ENOENT') {
      this.#settle(name, { type: 'damaged' });
      return;
    }
    for (const { call } of this.#end(name)) this.#tell({ call, failure: { code, message } });
  }

  /** The file is looked at no longer: who waits for it. */
  #end(name: string): readonly Finishing[] {
    const waiting = this.#finishing.get(name) ?? [];
    this.#finishing.delete(name);
    this.#hashings.get(name)?.close();
    this.#hashings.delete(name);
    return waiting;
  }
}

function readBuffers(): readonly Uint8Array[] {
  const arena = Arena.create(READS * READ_BYTES + PAGE_BYTES);
  return Array.from({ length: READS }, () => arena.view(arena.take(READ_BYTES, PAGE_BYTES), READ_BYTES));
}

/** A pack is read once: hashed as a whole, taken apart, each member hashed against its name. */
function openPack(file: SpoolFile): Finished {
  const descriptor = openSpooledSync(file.path);
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    if (stats.size !== BigInt(file.size)) return { type: 'damaged' };
    const bytes = new Uint8Array(file.size);
    for (let done = 0; done < bytes.length;) {
      const got = readSync(descriptor, bytes, done, bytes.length - done, done);
      if (got === 0) return { type: 'damaged' };
      done += got;
    }
    if (hash('sha256', bytes, 'hex') !== hexOf(file.digest)) return { type: 'damaged' };
    const members = readPack(bytes);
    if (!members.ok) return { type: 'refused', refusal: members.error };
    const wrong = members.value.find((member) => hash('sha256', member.bytes, 'hex') !== hexOf(member.digest));
    if (wrong !== undefined) {
      const text = `member ${wrong.digest} of pack ${file.digest} is not what its name says`;
      return { type: 'refused', refusal: refuse('digest-mismatch', text).error };
    }
    const places = members.value.map((member): Member => ({
      digest: member.digest,
      offset: member.bytes.byteOffset - bytes.byteOffset,
      size: member.bytes.length,
    }));
    return { type: 'holds', members: places, stamp: stampOf(stats) };
  } finally {
    closeSync(descriptor);
  }
}
