import { type Digest, hexOf } from '@sluice/ports';
import type { ObjectInfo } from '@sluice/transfer';

/** An object that was taken, and under what shape: what the name of its mark's file is made of. */
export type DoneMark = Pick<ObjectInfo, 'channel' | 'digest' | 'size' | 'symbolBytes' | 'maxBlock' | 'contentType'>;

type Shape = Omit<DoneMark, 'channel' | 'digest'>;

/**
 * Objects that the receiver has taken, by channel and digest, oldest first. There may be hundreds of thousands, and they stay
 * for months: each costs some 200 bytes.
 */
export class DoneMarks {
  readonly #limit: number;
  readonly #shapes = new Map<string, Shape>();

  /** @param limit marks kept */
  constructor(limit: number) {
    this.#limit = limit;
  }

  has(channel: string, digest: Digest): boolean {
    return this.#shapes.has(nameOf(channel, digest));
  }

  /** Keeps a mark as the newest; those that went for it are given back. */
  add({ channel, digest, size, symbolBytes, maxBlock, contentType }: DoneMark): readonly DoneMark[] {
    const before = this.take(channel, digest);
    // The object came in another shape this time: the file of the mark has another name.
    const isOther = before !== undefined && (before.symbolBytes !== symbolBytes || before.maxBlock !== maxBlock);
    const gone = isOther ? [before] : [];
    this.#shapes.set(nameOf(channel, digest), { size, symbolBytes, maxBlock, contentType });
    for (const name of this.#shapes.keys()) {
      if (this.#shapes.size <= this.#limit) break;
      const slash = name.lastIndexOf('/');
      const oldest = this.take(name.slice(0, slash), `sha256:${name.slice(slash + 1)}`);
      if (oldest !== undefined) gone.push(oldest);
    }
    return gone;
  }

  /** Takes a mark out. */
  take(channel: string, digest: Digest): DoneMark | undefined {
    const shape = this.#shapes.get(nameOf(channel, digest));
    this.#shapes.delete(nameOf(channel, digest));
    return shape === undefined ? undefined : { channel, digest, ...shape };
  }
}

const nameOf = (channel: string, digest: Digest): string => `${channel}/${hexOf(digest)}`;
