import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { classify, readEsi, readSbn, readToi, tsiEpoch } from '@sluice/alc';
import { CaptureBlocks } from '@sluice/pcapng';
import type { MediaHead } from '@sluice/sender';

/** Bytes of a part that are written at a time. */
const BUFFER_BYTES = 256 * 1024;
/** Addresses and ports in the headers around the datagrams (RFC 5737): files come from nowhere. */
const ENDS = {
  name: 'media',
  sourceAddress: '192.0.2.1',
  sourcePort: 4433,
  destinationAddress: '192.0.2.2',
  destinationPort: 4433,
};

const NAME = /^(sluice-[a-z0-9-]{1,32}-\d{6,15}-s\d{1,10})-part-(\d{2,3})-of-(\d{2,3})\.pcapng$/;

const padded = (number: number, digits: number): string => String(number).padStart(digits, '0');

/** `sluice-prod-000007-s217654321-part-03-of-12.pcapng`: channel, number of the bundle, epoch of the media session, part. */
export const partName = ({ channel, sequence, tsi, parts }: MediaHead, part: number): string =>
  `sluice-${channel}-${padded(sequence, 6)}-s${String(tsiEpoch(tsi))}-part-${padded(part, 2)}-of-${padded(parts, 2)}.pcapng`;

export interface PartOfMedia {
  /** The same for all parts of an export. */
  readonly session: string;
  /** From 1. */
  readonly part: number;
  readonly parts: number;
}

/** What a file name says, if it is that of a part. */
export function parsePartName(name: string): PartOfMedia | undefined {
  const [, session, part, parts] = NAME.exec(name) ?? [];
  return session === undefined ? undefined : { session, part: Number(part), parts: Number(parts) };
}

/** One file, written in long pieces. */
class Part {
  readonly #file: number;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #used = 0;
  bytes = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'wx', 0o640);
  }

  add(block: Uint8Array): void {
    if (this.#used + block.length > this.#buffer.length) this.#flush();
    this.#buffer.set(block, this.#used);
    this.#used += block.length;
    this.bytes += block.length;
  }

  finish(): void {
    this.#flush();
    fsyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  #flush(): void {
    for (let done = 0; done < this.#used;) done += writeSync(this.#file, this.#buffer, done, this.#used - done);
    this.#used = 0;
  }
}

/**
 * Deals the datagrams of an export to its files: symbol ESI of a block to part (ESI + SBN + TOI) modulo the parts, so that a
 * lost file costs every block the same share, and FDT Instances to all. The files have their names once all is written.
 */
export class MediaFiles {
  readonly #directory: string;
  readonly #head: MediaHead;
  readonly #parts: Part[] = [];
  readonly #blocks = new CaptureBlocks(ENDS);
  readonly #wallNs = BigInt(Date.now()) * 1_000_000n;

  constructor(directory: string, head: MediaHead) {
    this.#directory = directory;
    this.#head = head;
    for (let part = 1; part <= head.parts; part += 1) {
      const file = new Part(this.#path(part, '.new'));
      this.#parts.push(file);
      const comment = `bundle ${String(head.sequence)} of channel ${head.channel}, ${head.bundle}, part ${String(part)} of ${String(head.parts)}`;
      file.add(this.#blocks.head({ application: 'sluice export', comment }));
    }
  }

  add(datagram: Uint8Array, ns: bigint): void {
    const block = this.#blocks.packet(datagram, this.#wallNs + ns);
    if (classify(datagram, 0, datagram.length) === 'fdt') {
      for (const part of this.#parts) part.add(block);
      return;
    }
    const place = readEsi(datagram, 0) + readSbn(datagram, 0) + readToi(datagram, 0);
    this.#parts[place % this.#parts.length]?.add(block);
  }

  /** Makes all durable and gives them their names; how long they are. */
  finish(): { readonly path: string; readonly bytes: number }[] {
    for (const part of this.#parts) part.finish();
    return this.#parts.map((part, i) => {
      part.close();
      const path = this.#path(i + 1, '');
      renameSync(this.#path(i + 1, '.new'), path);
      return { path, bytes: part.bytes };
    });
  }

  /** Takes away what was begun. */
  abandon(): void {
    for (const [i, part] of this.#parts.entries()) {
      part.close();
      rmSync(this.#path(i + 1, '.new'), { force: true });
    }
  }

  #path(part: number, ending: string): string {
    return join(this.#directory, `${partName(this.#head, part)}${ending}`);
  }
}
