import { createHash } from 'node:crypto';
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import { type ObjectInfo, spoolKey, type SpoolPort } from '@sluice/transfer';
import { partition } from '@sluice/fec';

export interface ReplayedObject {
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
  readonly file: number;
  readonly path: string;
  readonly bitmap: Uint8Array;
  stored: number;
}

/** A spool for replay: files in a directory by digest, nothing synced. */
export class ReplaySpool implements SpoolPort {
  readonly #directory: string;
  readonly #entries = new Map<string, Entry>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  open(info: ObjectInfo): { readonly stored: Uint8Array } {
    const known = this.#entries.get(spoolKey(info));
    if (known !== undefined) return { stored: known.bitmap };
    const path = join(this.#directory, hexOf(info.digest));
    const { blocks } = partition(info.size, info.symbolBytes, info.maxBlock);
    const entry = { info, file: openSync(path, 'w+'), path, bitmap: new Uint8Array(Math.ceil(blocks / 8)), stored: 0 };
    this.#entries.set(spoolKey(info), entry);
    return { stored: entry.bitmap };
  }

  block(info: ObjectInfo, sbn: number, offset: number, bytes: Uint8Array): 'stored' {
    const entry = this.#entries.get(spoolKey(info));
    if (entry === undefined) throw new Error('a block of an object that was never opened');
    for (let done = 0; done < bytes.length;)
      done += writeSync(entry.file, bytes, done, bytes.length - done, offset + done);
    entry.bitmap[sbn >>> 3] = (entry.bitmap[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    entry.stored += 1;
    return 'stored';
  }

  /** Closes all files and hashes those that are whole. */
  async finish(): Promise<ReplayedObject[]> {
    const objects: ReplayedObject[] = [];
    for (const { info, file, path, stored } of this.#entries.values()) {
      closeSync(file);
      const { blocks } = partition(info.size, info.symbolBytes, info.maxBlock);
      const { digest, size, contentType } = info;
      const state = stored < blocks ? 'partial' : (await hashOf(path)) === digest ? 'whole' : 'digest-mismatch';
      objects.push({ digest, size, contentType, state, blocks, stored });
    }
    return objects;
  }
}

async function hashOf(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return `sha256:${hash.digest('hex')}`;
}
