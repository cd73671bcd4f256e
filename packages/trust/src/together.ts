import { TAG_BYTES, type TogetherCheck } from '@sluice/ports';
import { SN_BYTES, SN_OFFSET, TAG_OFFSET, TSI_OFFSET } from './linkkeys.ts';

const BLOCK_BYTES = 16;
const NONCE_BYTES = 12;

/**
 * True when the tags of all these datagrams hold, checked together (docs/adr/0009): the plain form of what the receiving kernel
 * does with batches.
 */
export function holdTogether(together: TogetherCheck, datagrams: readonly Uint8Array[]): boolean {
  const masks = shared(datagrams.length * BLOCK_BYTES);
  datagrams.forEach((datagram, i) => {
    const at = i * BLOCK_BYTES;
    masks.set(datagram.subarray(TSI_OFFSET, TSI_OFFSET + 4), at);
    masks.set(datagram.subarray(SN_OFFSET, SN_OFFSET + SN_BYTES), at + NONCE_BYTES - SN_BYTES);
    masks[at + BLOCK_BYTES - 1] = 1;
  });
  together.mask(masks, 0, masks.length);
  const blocksOf = ({ length }: Uint8Array): number => Math.ceil(length / BLOCK_BYTES);
  const chain = shared(datagrams.reduce((sum, datagram) => sum + (blocksOf(datagram) + 2) * BLOCK_BYTES, 0));
  let at = 0;
  datagrams.forEach((datagram, i) => {
    chain.set(datagram, at);
    chain.fill(0, at + TAG_OFFSET, at + TAG_OFFSET + TAG_BYTES);
    at += blocksOf(datagram) * BLOCK_BYTES;
    new DataView(chain.buffer).setBigUint64(at, BigInt(datagram.length) * 8n);
    at += BLOCK_BYTES;
    for (let byte = 0; byte < TAG_BYTES; byte += 1) {
      chain[at + byte] = (datagram[TAG_OFFSET + byte] ?? 0) ^ (masks[i * BLOCK_BYTES + byte] ?? 0);
    }
    at += BLOCK_BYTES;
  });
  return together.isZero(chain, 0, chain.length);
}

/** Zero bytes where native code can see them. */
const shared = (bytes: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(bytes));
