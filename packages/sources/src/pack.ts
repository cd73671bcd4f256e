import { setImmediate } from 'node:timers/promises';
import type { Digest, Staging } from '@sluice/ports';
import { PACK_TARGET_BYTES, packMemberBytes, writePack } from '@sluice/bundle';
import type { PackMember } from '@sluice/bundle';

/** A piece of the link, as a transport statement lists it (PROTOCOL.md B-5). */
export interface LinkObject {
  readonly digest: Digest;
  readonly size: number;
  readonly contentType: 'application/x-tar' | 'application/octet-stream';
}

/** Bytes of a pack besides its members: the trailer. */
const TRAILER_BYTES = 1024;

/**
 * Puts small blobs into packs as they come: at most 4 MiB each, sorted within (PROTOCOL.md O-3). The same blobs in the same order always give the same
 * packs.
 */
export class Packer {
  readonly objects: LinkObject[] = [];
  readonly #staging: Staging;
  #members: PackMember[] = [];
  #bytes = TRAILER_BYTES;

  constructor(staging: Staging) {
    this.#staging = staging;
  }

  /** Takes a blob whose hash is known to be right. */
  async add(digest: Digest, bytes: Uint8Array): Promise<void> {
    if (this.#bytes + packMemberBytes(bytes.length) > PACK_TARGET_BYTES) await this.end();
    this.#members.push({ digest, bytes });
    this.#bytes += packMemberBytes(bytes.length);
  }

  /** Writes what is left. Others get their turn. */
  async end(): Promise<void> {
    if (this.#members.length === 0) return;
    const pack = writePack(this.#members);
    const digest = await this.#staging.add(pack);
    this.objects.push({ digest, size: pack.length, contentType: 'application/x-tar' });
    await setImmediate();
    this.#members = [];
    this.#bytes = TRAILER_BYTES;
  }
}
