import { createHash } from 'node:crypto';
import { blockBytes, blockOffset, partition } from '@sluice/fec';
import type { Digest } from '@sluice/ports';
import type { ObjectInfo } from '@sluice/transfer';
import type { FileSpool, SpoolLimits } from '../src/spool.ts';

const MIB = 2 ** 20;

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Bytes of which no stretch comes twice, the same for the same name. */
export function bytesOf(name: string, size: number): Buffer {
  const pieces: Buffer[] = [];
  for (let n = 0; n * 32 < size; n += 1) pieces.push(createHash('sha256').update(`${name} ${n}`).digest());
  return Buffer.concat(pieces).subarray(0, size);
}

/** E and B of the objects here, so that a block has 1280 bytes. */
export const SYMBOL_BYTES = 64;
export const MAX_BLOCK = 20;
export const BLOCK_BYTES = SYMBOL_BYTES * MAX_BLOCK;

export const objectOf = (bytes: Uint8Array, over: Partial<ObjectInfo> = {}): ObjectInfo => ({
  digest: digestOf(bytes),
  size: bytes.length,
  contentType: 'application/octet-stream',
  symbolBytes: SYMBOL_BYTES,
  maxBlock: MAX_BLOCK,
  asid: 0,
  channel: 'prod',
  ...over,
});

export const LIMITS: SpoolLimits = {
  unsignedBytesHeld: MIB,
  spoolBytes: 16 * MIB,
  queueBytes: 16 * MIB,
  doneMarks: 1000,
};

/** Hands over the blocks that `wanted` says; the answer to each. */
export function hand(
  spool: FileSpool,
  info: ObjectInfo,
  bytes: Uint8Array,
  wanted: (sbn: number) => boolean = () => true,
): string[] {
  const shape = partition(info.size, info.symbolBytes, info.maxBlock);
  const answers: string[] = [];
  for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
    if (!wanted(sbn)) continue;
    const offset = blockOffset(shape, sbn);
    const block = bytes.subarray(offset, offset + blockBytes(shape, sbn));
    answers.push(spool.block(info, sbn, offset, block, () => undefined));
  }
  return answers;
}

export const bit = (map: Uint8Array, sbn: number): boolean => ((map[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) !== 0;
