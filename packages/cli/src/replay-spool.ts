import { createHash } from 'node:crypto';
import { closeSync, createReadStream, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import { type ObjectInfo, spoolKey, type SpoolPort } from '@sluice/transfer';
import { partition } from '@sluice/fec';

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
  /** Undefined once all blocks are in: a log may hold more objects than a process may have files. */
  file: number | undefined;
  readonly path: string;
  readonly bitmap: Uint8Array;
  readonly blocks: number;
  stored: number;
}

/** A spool for replay, nothing synced. Whole objects end as `CHANNEL/HEX`; others stay as `CHANNEL/KEY.part`. */
export class ReplaySpool implements SpoolPort {
  readonly #directory: string;
  readonly #entries = new Map<string, Entry>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  open(info: ObjectInfo): { readonly stored: Uint8Array } {
    const known = this.#entries.get(nameOf(info));
    if (known !== undefined) return { stored: known.bitmap };
    mkdirSync(join(this.#directory, info.channel), { recursive: true });
    const path = join(this.#directory, `${nameOf(info)}.part`);
    const { blocks } = partition(info.size, info.symbolBytes, info.maxBlock);
    const bitmap = new Uint8Array(Math.ceil(blocks / 8));
    this.#entries.set(nameOf(info), { info, file: openSync(path, 'w'), path, bitmap, blocks, stored: 0 });
    return { stored: bitmap };
  }

  block(info: ObjectInfo, sbn: number, offset: number, bytes: Uint8Array, release: () => void): 'stored' {
    const entry = this.#entries.get(nameOf(info));
    if (entry?.file === undefined) throw new Error('a block of an object that is not open');
    for (let done = 0; done < bytes.length;)
      done += writeSync(entry.file, bytes, done, bytes.length - done, offset + done);
    entry.bitmap[sbn >>> 3] = (entry.bitmap[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    entry.stored += 1;
    if (entry.stored === entry.blocks) close(entry);
    release();
    return 'stored';
  }

  /** Closes all files, hashes those that are whole and gives them their names. */
  async finish(): Promise<ReplayedObject[]> {
    const objects: ReplayedObject[] = [];
    for (const entry of this.#entries.values()) {
      close(entry);
      const { info, path, blocks, stored } = entry;
      const { channel, digest, size, contentType } = info;
      const state = stored < blocks ? 'partial' : (await hashOf(path)) === digest ? 'whole' : 'digest-mismatch';
      if (state === 'whole') renameSync(path, join(this.#directory, channel, hexOf(digest)));
      objects.push({ channel, digest, size, contentType, state, blocks, stored });
    }
    return objects;
  }
}

/** Channels share nothing, so that who has the key of one cannot spoil the objects of another. */
const nameOf = (info: ObjectInfo): string => `${info.channel}/${spoolKey(info)}`;

function close(entry: Entry): void {
  if (entry.file !== undefined) closeSync(entry.file);
  entry.file = undefined;
}

async function hashOf(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return `sha256:${hash.digest('hex')}`;
}
