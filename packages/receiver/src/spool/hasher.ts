import { createHash, type Hash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { PACK_BYTES_LIMIT, readPack } from '@sluice/bundle';
import { hexOf, refuse } from '@sluice/ports';
import { Arena } from '@sluice/wasm';
import { openSpooledSync, stampOf } from '../spooled.ts';
import type { Finished, FromSpoolThread, Member, SpoolFile, ToSpoolThread } from './messages.ts';

const SLICE_BYTES = 8 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;
const FOLLOWED_MAX = 256;
/** Direct reads want memory, file position and length at multiples of this. */
const PAGE_BYTES = 4096;

/** A file on its way through the hash. */
class Hashing {
  readonly #descriptor: number;
  /** The same file past the page cache, where the file system has that: link wrote it so, and nobody reads it soon again. */
  #direct: number | undefined;
  readonly #hash: Hash = createHash('sha256');
  readonly #file: SpoolFile;
  #done = 0;
  /** Bytes that may be read. */
  #there = 0;

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

  /** Hashes one slice of what is there; false when less is there than was said. */
  slice(buffer: Uint8Array): boolean {
    for (let left = SLICE_BYTES; left > 0 && this.waits;) {
      const wanted = Math.min(READ_BYTES, this.#there - this.#done);
      if (this.#read(buffer, wanted) < wanted) return false;
      this.#hash.update(buffer.subarray(0, wanted));
      this.#done += wanted;
      left -= wanted;
    }
    return true;
  }

  /** Fills the buffer from where the hash is; fewer than `wanted` bytes only at the end of the file. */
  #read(buffer: Uint8Array, wanted: number): number {
    let got = this.#direct === undefined ? 0 : this.#past(this.#direct, buffer, wanted);
    while (got < wanted) {
      const more = readSync(this.#descriptor, buffer, got, wanted - got, this.#done + got);
      if (more === 0) break;
      got += more;
    }
    return got;
  }

  #past(direct: number, buffer: Uint8Array, wanted: number): number {
    try {
      return readSync(direct, buffer, 0, Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES, this.#done);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      // The disk has longer blocks, or the memory lies otherwise than it seems.
      closeSync(direct);
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

  close(): void {
    if (this.#direct !== undefined) closeSync(this.#direct);
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

interface Finishing {
  readonly call: number;
  readonly asPack: boolean;
  readonly file: SpoolFile;
}

/**
 * Hashes what lies in the spool, with calls that block: a thread of its own does this. One slice of each file in turn: a statement
 * does not wait for a large object.
 */
export class SpoolHasher {
  readonly #tell: (message: FromSpoolThread) => void;
  readonly #buffer: Uint8Array;
  readonly #hashings = new Map<string, Hashing>();
  readonly #finishing = new Map<string, Finishing[]>();
  #running = false;

  constructor(tell: (message: FromSpoolThread) => void) {
    this.#tell = tell;
    const arena = Arena.create(READ_BYTES + PAGE_BYTES);
    this.#buffer = arena.view(arena.take(READ_BYTES, PAGE_BYTES), READ_BYTES);
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
        if (this.#hashings.get(name) === hashing) this.#step(name, hashing);
        await new Promise(setImmediate);
      }
    }
    this.#running = false;
  }

  #work(): readonly (readonly [string, Hashing])[] {
    return [...this.#hashings].filter(([name, hashing]) => hashing.waits || this.#finishing.has(name));
  }

  #step(name: string, hashing: Hashing): void {
    try {
      if (hashing.waits && !hashing.slice(this.#buffer)) this.#settle(name, { type: 'damaged' });
      else if (!hashing.waits && this.#finishing.has(name)) this.#settle(name, hashing.end());
    } catch (error) {
      this.#fail(name, error);
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

  /** The file cannot be read: those who wait for it hear of it. What is no error of the file system is a mistake of ours. */
  #fail(name: string, error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
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
