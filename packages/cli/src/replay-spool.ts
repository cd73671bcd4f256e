import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import { type ObjectInfo, spoolKey, type SpoolPort } from '@sluice/transfer';
import { blockBytes, blockOffset, type Partition, partition } from '@sluice/fec';

export interface ReplayedObject {
  readonly channel: string;
  readonly digest: Digest;
  readonly size: number;
  readonly contentType: string;
  /** `whole`: all blocks there and the digest right. */
  readonly state: 'whole' | 'partial' | 'digest-mismatch';
  readonly blocks: number;
  readonly stored: number;
}

interface Entry {
  readonly info: ObjectInfo;
  readonly path: string;
  readonly shape: Partition;
  readonly bitmap: Uint8Array;
  readonly blocks: number;
  stored: number;
  state: ReplayedObject['state'];
}

export interface ReplaySpoolOptions {
  /** Objects that are wanted; undefined for all. */
  readonly only?: ReadonlySet<Digest> | undefined;
  /** Nothing but statements comes out. */
  readonly statementsOnly?: boolean;
  /** Whole objects stay; else only what is not whole yet takes room. */
  readonly keep: boolean;
  /** Hears of each whole object while its file is there. */
  readonly onWhole?: (info: ObjectInfo, path: string) => void;
}

const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';
/** Files kept open: a log may hold more objects than a process may have files. */
const OPEN_FILES = 64;

const isSet = (bits: Uint8Array, sbn: number): boolean => ((bits[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) !== 0;

/**
 * A spool for replay, nothing synced. Whole objects end as `CHANNEL/HEX`; others stay as `CHANNEL/KEY.part`, with their holes
 * in `CHANNEL/KEY.holes.json`.
 */
export class ReplaySpool implements SpoolPort {
  readonly #directory: string;
  readonly #options: ReplaySpoolOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #files = new Map<Entry, number>();
  readonly #filled: Entry[] = [];

  constructor(directory: string, options: ReplaySpoolOptions = { keep: true }) {
    this.#directory = directory;
    this.#options = options;
    mkdirSync(directory, { recursive: true });
  }

  open(info: ObjectInfo): { readonly stored: Uint8Array } | 'complete' {
    const { only, statementsOnly = false } = this.#options;
    if (only?.has(info.digest) === false || (statementsOnly && info.contentType !== STATEMENT_TYPE)) return 'complete';
    const known = this.#entries.get(nameOf(info));
    if (known !== undefined) return { stored: known.bitmap };
    mkdirSync(join(this.#directory, info.channel), { recursive: true });
    const path = join(this.#directory, `${nameOf(info)}.part`);
    const shape = partition(info.size, info.symbolBytes, info.maxBlock);
    const bitmap = new Uint8Array(Math.ceil(shape.blocks / 8));
    const entry: Entry = { info, path, shape, bitmap, blocks: shape.blocks, stored: 0, state: 'partial' };
    closeSync(openSync(path, 'w'));
    this.#entries.set(nameOf(info), entry);
    return { stored: bitmap };
  }

  block(info: ObjectInfo, sbn: number, offset: number, bytes: Uint8Array, release: () => void): 'stored' {
    const entry = this.#entries.get(nameOf(info));
    if (entry === undefined) throw new Error('a block of an object that is not open');
    if (!isSet(entry.bitmap, sbn)) {
      const file = this.#file(entry);
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, offset + done);
      entry.bitmap[sbn >>> 3] = (entry.bitmap[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
      entry.stored += 1;
      if (entry.stored === entry.blocks) this.#filled.push(entry);
    }
    release();
    return 'stored';
  }

  /** True when objects have all their blocks and wait for `settle`. */
  get isFilled(): boolean {
    return this.#filled.length > 0;
  }

  /** Hashes what has all its blocks, and gives it its name. */
  async settle(): Promise<void> {
    for (const entry of this.#filled.splice(0)) {
      this.#close(entry);
      const { info, path } = entry;
      entry.state = (await hashOf(path)) === info.digest ? 'whole' : 'digest-mismatch';
      if (entry.state !== 'whole') continue;
      this.#options.onWhole?.(info, path);
      if (this.#options.keep) renameSync(path, join(this.#directory, info.channel, hexOf(info.digest)));
      else rmSync(path);
    }
  }

  /** Closes all files; tells what came out, and where holes are in what did not. */
  async finish(): Promise<ReplayedObject[]> {
    await this.settle();
    return [...this.#entries.values()].map((entry) => {
      this.#close(entry);
      const { info, path, blocks, stored, state } = entry;
      const { channel, digest, size, contentType } = info;
      if (state === 'partial' && this.#options.keep) {
        const map = { digest, size, blocks, stored, holes: holesOf(entry) };
        writeFileSync(path.replace(/\.part$/, '.holes.json'), `${JSON.stringify(map)}\n`);
      }
      return { channel, digest, size, contentType, state, blocks, stored };
    });
  }

  #file(entry: Entry): number {
    const known = this.#files.get(entry);
    if (known !== undefined) return known;
    for (const oldest of this.#files.keys()) {
      if (this.#files.size < OPEN_FILES) break;
      this.#close(oldest);
    }
    const file = openSync(entry.path, 'r+');
    this.#files.set(entry, file);
    return file;
  }

  #close(entry: Entry): void {
    const file = this.#files.get(entry);
    if (file !== undefined) closeSync(file);
    this.#files.delete(entry);
  }
}

/** Stretches of bytes that lack, as first byte and length. */
function holesOf({ info, shape, bitmap, blocks }: Entry): [offset: number, bytes: number][] {
  const holes: [number, number][] = [];
  for (let sbn = 0; sbn < blocks; sbn += 1) {
    if (isSet(bitmap, sbn)) continue;
    const [offset, bytes] = [blockOffset(shape, sbn), blockBytes(shape, sbn)];
    const last = holes.at(-1);
    if (last !== undefined && last[0] + last[1] === offset) last[1] += bytes;
    else holes.push([offset, Math.min(bytes, info.size - offset)]);
  }
  return holes;
}

/** Channels share nothing, so that who has the key of one cannot spoil the objects of another. */
const nameOf = (info: ObjectInfo): string => `${info.channel}/${spoolKey(info)}`;

async function hashOf(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return `sha256:${hash.digest('hex')}`;
}
