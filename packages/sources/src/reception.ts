import { createHash, type Hash } from 'node:crypto';
import { close, closeSync, fdatasync, openSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { ok } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { PACK_MEMBER_LIMIT, tarHeader, tarPadding, TarReader, tarTrailer } from '@sluice/bundle';
import type { TarEvent, TarMember } from '@sluice/bundle';
import type { Location } from './beneath.ts';
import { asDigest } from './hashing.ts';
import type { ScanLimits } from './scan.ts';
import { TreeWriter, writeFault } from './tree.ts';

/** Where a submission is written: a directory for its large files, which must not exist, and an archive for its small ones. */
export interface ReceptionPlaces {
  readonly directory: string;
  readonly archive: string;
}

const ARCHIVE_BUFFER = 1024 * 1024;
/** After so many bytes of one file the disk is set to work, so that little is left to do at its end. */
const SYNC_BYTES = 64 * 1024 * 1024;

const sync = promisify(fdatasync);
const shut = promisify(close);

/**
 * Takes a submitted tar in, pushed in chunks of any size. Each member is hashed as it comes and written once: large files, and archives, where they can
 * be taken from by rename; the many small ones into one archive of our own. Refuses what TarReader refuses, `tar-malformed` for names that
 * clash, `bundle-too-large`. After a refusal what was written is the caller's to remove. All calls but `finish` block.
 */
export class Reception implements Disposable {
  readonly #tree: TreeWriter;
  readonly #archive: Archive;
  readonly #reader = new TarReader();
  readonly #files: Location[] = [];
  readonly #syncs: Promise<void>[] = [];
  #member: Incoming | undefined;
  #state: Result<undefined> = ok(undefined);

  private constructor(tree: TreeWriter, archive: Archive) {
    this.#tree = tree;
    this.#archive = archive;
  }

  static begin({ directory, archive }: ReceptionPlaces, limits: ScanLimits): Reception {
    return new Reception(TreeWriter.create(directory, limits), new Archive(archive));
  }

  /** After a refusal it is given again for whatever else comes. */
  push(chunk: Uint8Array): Result<undefined> {
    if (this.#state.ok) this.#state = this.#pushed(chunk);
    return this.#state;
  }

  #pushed(chunk: Uint8Array): Result<undefined> {
    const events = this.#reader.push(chunk);
    if (!events.ok) return events;
    for (const event of events.value) {
      const taken = this.#take(event);
      if (!taken.ok) return taken;
    }
    return ok(undefined);
  }

  /** Says that the stream ended; gives the files, once all of them are durable. */
  async finish(): Promise<Result<readonly Location[]>> {
    const finished = this.#state.ok ? this.#reader.finish() : this.#state;
    if (!finished.ok) return finished;
    this.#archive.end();
    await Promise.all([...this.#syncs, this.#archive.sync()]);
    return ok(this.#files);
  }

  [Symbol.dispose](): void {
    this.#member?.abandon();
    this.#archive.close();
  }

  #take(event: TarEvent): Result<undefined> {
    if (event.kind === 'member') return this.#begin(event.member);
    const member = this.#member;
    if (member === undefined) {
      if (event.kind === 'data') throw new Error('bytes of a member came before the member');
      return ok(undefined);
    }
    if (event.kind === 'data') member.write(event.bytes);
    else {
      this.#member = undefined;
      const { file, durable } = member.end();
      this.#files.push(file);
      if (durable === undefined) return ok(undefined);
      // `finish` hears of it; a stream that is given up has none.
      durable.catch(() => undefined);
      this.#syncs.push(durable);
    }
    return ok(undefined);
  }

  #begin(member: TarMember): Result<undefined> {
    const { path, size, type } = member;
    if (type === 'directory') return this.#tree.directory(path);
    if (size < PACK_MEMBER_LIMIT && !isArchive(path)) {
      const named = this.#tree.name(path, size);
      if (named.ok) this.#member = this.#archive.begin(member);
      return named;
    }
    const opened = this.#tree.file(path, size);
    if (!opened.ok) return opened;
    this.#member = new IncomingFile(path, opened.value);
    return ok(undefined);
  }
}

/** A layout may lie in it: then its members are hashed later, and not itself; it is read from a file of its own. */
const isArchive = (path: string): boolean => path.endsWith('.tar');

/** A member on its way in. */
interface Incoming {
  write(bytes: Uint8Array): void;
  /** The member as a file; `durable` where it must be waited for. */
  end(): { readonly file: Location; readonly durable?: Promise<void> };
  abandon(): void;
}

class IncomingFile implements Incoming {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #hash: Hash | undefined;
  #size = 0;
  #unsynced = 0;
  #syncing: Promise<void> = Promise.resolve();
  #isSyncing = false;

  constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#hash = isArchive(path) ? undefined : createHash('sha256');
  }

  write(bytes: Uint8Array): void {
    this.#hash?.update(bytes);
    writeAll(this.#descriptor, bytes, this.#path);
    this.#size += bytes.length;
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_BYTES || this.#isSyncing) return;
    this.#unsynced = 0;
    this.#syncing = this.#sync();
    // `end` hears of it.
    this.#syncing.catch(() => undefined);
  }

  end(): { readonly file: Location; readonly durable: Promise<void> } {
    const durable = this.#syncing.then(() => this.#sync()).finally(() => shut(this.#descriptor));
    const digest = this.#hash === undefined ? {} : { digest: asDigest(this.#hash.digest('hex')) };
    return { file: { path: this.#path, offset: 0, size: this.#size, ...digest }, durable };
  }

  abandon(): void {
    // Not before the disk is done with it: the number could be another file's by then.
    void this.#syncing.catch(() => undefined).then(() => shut(this.#descriptor));
  }

  async #sync(): Promise<void> {
    this.#isSyncing = true;
    try {
      await sync(this.#descriptor);
    } catch (error) {
      throw writeFault(error, this.#path);
    } finally {
      this.#isSyncing = false;
    }
  }
}

/** The archive of small members, written in large pieces. It is a tar: what is refused can be looked at. */
class Archive {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #buffer = new Uint8Array(ARCHIVE_BUFFER);
  #filled = 0;
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#descriptor = openSync(path, 'wx', 0o600);
    } catch (error) {
      throw writeFault(error, path);
    }
  }

  begin(member: TarMember): Incoming {
    this.#write(tarHeader(member));
    const offset = this.#offset;
    const hash: Hash = createHash('sha256');
    return {
      write: (bytes) => {
        hash.update(bytes);
        this.#write(bytes);
      },
      end: () => {
        this.#write(new Uint8Array(tarPadding(member.size)));
        const digest = asDigest(hash.digest('hex'));
        return { file: { path: member.path, offset, size: member.size, held: true, digest } };
      },
      abandon: () => undefined,
    };
  }

  end(): void {
    this.#write(tarTrailer());
    this.#flush();
  }

  async sync(): Promise<void> {
    try {
      await sync(this.#descriptor);
    } catch (error) {
      throw writeFault(error, this.#path);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #write(bytes: Uint8Array): void {
    this.#offset += bytes.length;
    for (let rest = bytes; rest.length > 0;) {
      const taken = rest.subarray(0, this.#buffer.length - this.#filled);
      this.#buffer.set(taken, this.#filled);
      this.#filled += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#filled === this.#buffer.length) this.#flush();
    }
  }

  #flush(): void {
    writeAll(this.#descriptor, this.#buffer.subarray(0, this.#filled), this.#path);
    this.#filled = 0;
  }
}

function writeAll(descriptor: number, bytes: Uint8Array, path: string): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
  } catch (error) {
    throw writeFault(error, path);
  }
}
