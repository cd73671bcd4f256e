import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { blockBytes, partition } from '@sluice/fec';
import type { DatagramCode, Digest, LinkAlarm } from '@sluice/ports';
import { type ObjectInfo, spoolKey, type SpoolPort } from '@sluice/transfer';
import { type DoneMark, DoneMarks } from './done-marks.ts';
import { fileName, parseFileName, type SpoolName, type SpoolState } from './spool-names.ts';
import { type LostBlock, SpoolWriter } from './spool-writer.ts';

export interface SpoolLimits {
  /** Bytes that objects of one channel may take before a statement allows them. */
  readonly unsignedBytesHeld: number;
  /** Bytes of the whole spool. */
  readonly spoolBytes: number;
  /** Bytes of blocks waiting to be written. */
  readonly queueBytes: number;
  /** `done` marks kept, the oldest go: an object without one is gathered again when it comes again. */
  readonly doneMarks: number;
}

/** One object in the spool. */
export interface SpoolEntry {
  readonly channel: string;
  readonly key: string;
  readonly info: Pick<ObjectInfo, 'digest' | 'size' | 'symbolBytes' | 'maxBlock' | 'contentType'>;
  readonly blocks: number;
  state: 'part' | 'whole' | 'done';
  /** Blocks taken: on disk, or waiting to be written. */
  stored: Uint8Array;
  storedBlocks: number;
  /** Bytes taken. */
  bytes: number;
}

export interface SpoolEvents {
  /** All blocks are on disk, synced, under the final name. */
  readonly onWhole: (entry: SpoolEntry, path: string) => void;
  /** The first `bytes` bytes of one that is not whole are in the file, and stay as they are; with 0 they may not. */
  readonly onGrown: (entry: SpoolEntry, path: string, bytes: number) => void;
  /** Blocks that were taken could not be written, or had to make room: they are wanted again. */
  readonly onLost: (entry: SpoolEntry) => void;
  readonly onAlarm: (code: LinkAlarm, detail: string) => void;
}

interface Found {
  readonly channel: string;
  readonly path: string;
  readonly parsed: SpoolName;
}

/** Bytes free on the disk; where nobody can say, the limit alone counts. */
function freeAt(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}

const isStatement = ({ contentType }: Pick<ObjectInfo, 'contentType'>): boolean =>
  contentType === 'application/vnd.dsse.envelope.v1+json';

const isSet = (bits: Uint8Array, sbn: number): boolean => ((bits[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) !== 0;

/** Stop 12: whole blocks into files, each block's bit durable only after its bytes are. Calls never wait for the disk. */
export class FileSpool implements SpoolPort {
  readonly #root: string;
  readonly #limits: SpoolLimits;
  readonly #events: SpoolEvents;
  readonly #entries = new Map<string, SpoolEntry>();
  readonly #allowed = new Set<string>();
  /** Bytes held by objects that no statement has allowed yet, by channel. */
  readonly #unsigned = new Map<string, number>();
  readonly #marks: DoneMarks;
  readonly #writer: SpoolWriter;
  #bytes = 0;

  /** Reads what an earlier run left. */
  constructor(root: string, channels: readonly string[], limits: SpoolLimits, events: SpoolEvents) {
    this.#root = root;
    this.#limits = limits;
    this.#events = events;
    this.#marks = new DoneMarks(limits.doneMarks);
    this.#writer = new SpoolWriter({
      path: (entry, state) => this.path(entry, state),
      onWhole: (entry) => {
        entry.state = 'whole';
        events.onWhole(entry, this.path(entry, 'whole'));
      },
      onGrown: (entry, bytes) => {
        events.onGrown(entry, this.path(entry, 'part'), bytes);
      },
      onLost: (entry, lost) => {
        // One that went meanwhile is not counted any more.
        if (entry.state !== 'part') return;
        this.#unstore(entry, lost);
        events.onLost(entry);
      },
      onAlarm: events.onAlarm,
    });
    // A channel whose key is being changed has two keys, and one directory.
    const found = [...new Set(channels)].flatMap((channel) => this.#scan(channel));
    this.#restoreMarks(found.filter(({ parsed }) => parsed.state === 'done'));
    // A whole file wins over what is left of its making.
    const rank = { done: 0, whole: 1, part: 2, map: 3 };
    found.sort((a, b) => rank[a.parsed.state] - rank[b.parsed.state]);
    for (const file of found) if (file.parsed.state !== 'done') this.#restore(file);
  }

  /** Bytes in the spool; blocks waiting for the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Most bytes that it may have. */
  get limit(): number {
    return this.#limits.spoolBytes;
  }

  /** Bytes that may come in yet, by the limit and by the disk. */
  get room(): number {
    return Math.max(0, Math.min(this.#limits.spoolBytes - this.#bytes, freeAt(this.#root)));
  }

  get queuedBytes(): number {
    return this.#writer.queuedBytes;
  }

  /** Bytes taken that a loss of power would cost. */
  get volatileBytes(): number {
    return this.#writer.volatileBytes;
  }

  *whole(): Generator<{ readonly entry: SpoolEntry; readonly path: string }> {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'whole') yield { entry, path: this.path(entry, 'whole') };
    }
  }

  path(entry: SpoolEntry, state: SpoolState): string {
    return join(this.#root, entry.channel, fileName(entry.key, entry.info.contentType, state));
  }

  open(info: ObjectInfo): { readonly stored: Uint8Array } | 'complete' | DatagramCode {
    const name = `${info.channel}/${spoolKey(info)}`;
    const known = this.#entries.get(name);
    if (known !== undefined) return known.state === 'part' ? { stored: known.stored } : 'complete';
    if (this.#marks.has(info.channel, info.digest)) return 'complete';
    if (!isStatement(info) && this.#bytes + info.size > this.#limits.spoolBytes) return 'budget';
    const { blocks } = partition(info.size, info.symbolBytes, info.maxBlock);
    const stored = new Uint8Array(Math.ceil(blocks / 8));
    const entry: SpoolEntry = {
      channel: info.channel,
      key: spoolKey(info),
      info,
      blocks,
      state: 'part',
      stored,
      storedBlocks: 0,
      bytes: 0,
    };
    this.#entries.set(name, entry);
    return { stored };
  }

  block(
    info: ObjectInfo,
    sbn: number,
    offset: number,
    bytes: Uint8Array,
    release: () => void,
  ): 'stored' | DatagramCode {
    const entry = this.#entries.get(`${info.channel}/${spoolKey(info)}`);
    if (entry === undefined && !this.#marks.has(info.channel, info.digest)) return 'budget';
    if (entry?.state !== 'part' || isSet(entry.stored, sbn)) {
      release();
      return 'stored';
    }
    if (this.#writer.queuedBytes + bytes.length > this.#limits.queueBytes) return 'memory-limit';
    if (!this.#fits(entry, bytes.length) && !this.#makeRoom(entry, bytes.length)) return 'budget';
    entry.stored[sbn >>> 3] = (entry.stored[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    entry.storedBlocks += 1;
    this.#count(entry, bytes.length);
    this.#writer.add({ entry, sbn, offset, bytes, release });
    return 'stored';
  }

  /**
   * Statements hold for these objects: they no longer count as unsigned. One that was taken before is wanted again: its
   * mark goes, and the keys of those whose marks went are given back.
   */
  allow(channel: string, digests: readonly Digest[]): string[] {
    const wanted = new Set(digests);
    const known = [...this.#entries.values()].filter(
      (entry) => entry.channel === channel && wanted.has(entry.info.digest),
    );
    for (const entry of known) if (!this.#isAllowed(entry)) this.#hold(channel, -entry.bytes);
    for (const digest of digests) this.#allowed.add(`${channel}/${digest}`);
    const marks = digests.map((digest) => this.#marks.take(channel, digest)).filter((mark) => mark !== undefined);
    // Where it cannot be removed it counts again after a restart, and is taken off again.
    for (const mark of marks) this.#unmark(mark);
    return marks.map(spoolKey);
  }

  /** No statement allows these any more, and what there is of them gives way; the keys of what was there. */
  async withdraw(channel: string, digests: readonly Digest[]): Promise<readonly string[]> {
    const unwanted = new Set(digests);
    const known = [...this.#entries.values()].filter(
      (entry) => entry.channel === channel && unwanted.has(entry.info.digest),
    );
    // All of them are under way before anything that link is told next.
    await Promise.all(known.map(({ key }) => this.#remove(channel, key, undefined)));
    for (const digest of digests) this.#allowed.delete(`${channel}/${digest}`);
    return known.map(({ key }) => key);
  }

  /** The receiver has taken the object: its bytes go, a mark stays. */
  async settle(channel: string, key: string): Promise<void> {
    await this.#remove(channel, key, 'done');
  }

  /** The object was bad, or is wanted anew: all of it goes. */
  async forget(channel: string, key: string): Promise<void> {
    await this.#remove(channel, key, undefined);
  }

  /** Writes what waits and closes all files. */
  async close(): Promise<void> {
    await this.#writer.close();
  }

  async #remove(channel: string, key: string, leave: 'done' | undefined): Promise<void> {
    const entry = this.#entries.get(`${channel}/${key}`);
    if (entry === undefined) {
      const mark = leave === undefined ? this.#marks.take(channel, `sha256:${key.slice(0, 64)}`) : undefined;
      if (mark !== undefined) this.#unmark(mark);
      return;
    }
    this.#count(entry, -entry.bytes);
    // What is forgotten is still wanted, and keeps its leave.
    if (leave === 'done') this.#allowed.delete(`${channel}/${entry.info.digest}`);
    // `done` also keeps the writer from what still waits for an object that is forgotten.
    entry.state = 'done';
    this.#entries.delete(`${channel}/${key}`);
    if (leave === 'done') this.#mark({ ...entry.info, channel });
    try {
      await this.#writer.remove(entry, leave);
    } catch (error) {
      // The files that stay are found by the next start, and settled once more.
      this.#events.onAlarm('spool-io', (error as Error).message);
    }
  }

  #mark(mark: DoneMark): void {
    for (const gone of this.#marks.add(mark)) void rm(this.#markFile(gone), { force: true }).catch(() => undefined);
  }

  #unmark(mark: DoneMark): void {
    this.#try(() => {
      rmSync(this.#markFile(mark), { force: true });
    });
  }

  #markFile(mark: DoneMark): string {
    return join(this.#root, mark.channel, fileName(spoolKey(mark), mark.contentType, 'done'));
  }

  #try(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#events.onAlarm('spool-io', (error as Error).message);
    }
  }

  #fits(entry: SpoolEntry, bytes: number): boolean {
    if (this.#bytes + bytes > this.#limits.spoolBytes) return false;
    return this.#isAllowed(entry) || this.#held(entry.channel) + bytes <= this.#limits.unsignedBytesHeld;
  }

  /**
   * Without statements nothing is ever allowed: for them, what none has allowed yet goes, blobs first, oldest first. A later
   * pass brings it again. So what is left of bundles that never came to their end cannot close a channel.
   */
  #makeRoom(entry: SpoolEntry, bytes: number): boolean {
    if (!isStatement(entry.info) || entry.bytes + bytes > this.#limits.unsignedBytesHeld) return false;
    const others = [...this.#entries.values()].filter(
      (other) => other !== entry && other.channel === entry.channel && other.bytes > 0 && !this.#isAllowed(other),
    );
    others.sort((a, b) => Number(isStatement(a.info)) - Number(isStatement(b.info)));
    for (const other of others) {
      if (this.#fits(entry, bytes)) break;
      void this.forget(other.channel, other.key);
      this.#events.onLost(other);
    }
    return this.#fits(entry, bytes);
  }

  #isAllowed(entry: SpoolEntry): boolean {
    return this.#allowed.has(`${entry.channel}/${entry.info.digest}`);
  }

  #held(channel: string): number {
    return this.#unsigned.get(channel) ?? 0;
  }

  #hold(channel: string, bytes: number): void {
    this.#unsigned.set(channel, this.#held(channel) + bytes);
  }

  #count(entry: SpoolEntry, bytes: number): void {
    entry.bytes += bytes;
    this.#bytes += bytes;
    if (!this.#isAllowed(entry)) this.#hold(entry.channel, bytes);
  }

  #unstore(entry: SpoolEntry, lost: readonly LostBlock[]): void {
    for (const { sbn, length } of lost) {
      entry.stored[sbn >>> 3] = (entry.stored[sbn >>> 3] ?? 0) & ~(1 << (sbn & 7));
      entry.storedBlocks -= 1;
      this.#count(entry, -length);
    }
  }

  /** Our files in a channel's directory. */
  #scan(channel: string): Found[] {
    const directory = join(this.#root, channel);
    // Its setgid bit comes from the directory above: a unit with RestrictSUIDSGID= may not ask for it.
    mkdirSync(directory, { recursive: true, mode: 0o770 });
    return readdirSync(directory, { withFileTypes: true })
      .filter((file) => file.isFile())
      .map(({ name }) => ({ channel, path: join(directory, name), parsed: parseFileName(name) }))
      .filter((file): file is Found => file.parsed !== undefined);
  }

  /** Marks of all channels in the order in which they were made. */
  #restoreMarks(done: readonly Found[]): void {
    const dated = done.map((file) => ({ ...file, at: statSync(file.path).mtimeMs }));
    for (const { channel, parsed } of dated.sort((a, b) => a.at - b.at)) this.#mark({ ...parsed, channel });
  }

  #restore({ channel, path, parsed }: Found): void {
    const name = `${channel}/${parsed.key}`;
    const { blocks } = partition(parsed.size, parsed.symbolBytes, parsed.maxBlock);
    const known = this.#entries.get(name);
    if (known?.state === 'part') return;
    // What was taken, or is whole: this is what is left of its making. A map alone is of no use.
    if (known !== undefined || parsed.state === 'map' || this.#marks.has(channel, parsed.digest))
      return rmSync(path, { force: true });
    const entry: SpoolEntry = {
      channel,
      key: parsed.key,
      info: parsed,
      blocks,
      state: parsed.state === 'part' ? 'part' : 'whole',
      stored: new Uint8Array(Math.ceil(blocks / 8)),
      storedBlocks: 0,
      bytes: 0,
    };
    if (entry.state === 'part') this.#restoreMap(entry);
    this.#entries.set(name, entry);
    this.#count(entry, this.#bytesOf(entry));
    if (entry.state === 'part' && entry.storedBlocks === blocks) {
      renameSync(path, this.path(entry, 'whole'));
      entry.state = 'whole';
    }
  }

  /** Believes the map only as far as it goes; a part without one starts over. */
  #restoreMap(entry: SpoolEntry): void {
    try {
      const map = readFileSync(this.path(entry, 'map'));
      entry.stored.set(map.subarray(0, entry.stored.length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    for (let sbn = 0; sbn < entry.blocks; sbn += 1) {
      if (isSet(entry.stored, sbn)) entry.storedBlocks += 1;
    }
  }

  #bytesOf(entry: SpoolEntry): number {
    if (entry.state === 'whole') return entry.info.size;
    const shape = partition(entry.info.size, entry.info.symbolBytes, entry.info.maxBlock);
    let bytes = 0;
    for (let sbn = 0; sbn < entry.blocks; sbn += 1) {
      if (isSet(entry.stored, sbn)) bytes += blockBytes(shape, sbn);
    }
    return bytes;
  }
}
