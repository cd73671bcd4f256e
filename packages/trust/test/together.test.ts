import { createCipheriv, randomBytes } from 'node:crypto';
import { TAG_OFFSET } from '@sluice/alc';
import { type Authenticator, TAG_BYTES } from '@sluice/ports';
import { makeLinkKey, openTagAccelerator, sessionKey } from '@sluice/trust';
import { beforeAll, describe, expect, it } from 'vitest';
import { holdTogether } from '../src/together.ts';

const KEY = randomBytes(32);
const TSI = 0x0b162280;
const BLOCK = 16;
const { accelerate } = await openTagAccelerator('auto');
const fast = makeLinkKey({ asid: 0, channel: 'prod', algorithm: 'AES-256-GMAC', key: KEY }, accelerate).session(TSI);
const slow = makeLinkKey({ asid: 0, channel: 'prod', algorithm: 'AES-256-GMAC', key: KEY }).session(TSI);

const nonceOf = (datagram: Uint8Array): Buffer =>
  Buffer.concat([datagram.subarray(8, 12), Buffer.alloc(3), datagram.subarray(19, 24), Buffer.of(0, 0, 0, 1)]);

function signed(length: number, sn: number): Uint8Array {
  const datagram = new Uint8Array(randomBytes(length));
  new DataView(datagram.buffer).setUint32(8, TSI);
  datagram.set([0, 0, 0, 0, sn], 19);
  slow.sign(datagram, TAG_OFFSET);
  return datagram;
}

/** The same bytes where native code can see them. */
function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

describe.skipIf(accelerate === undefined)('tags that are checked together: needs the native binding', () => {
  let together: NonNullable<Authenticator['together']>;
  beforeAll(() => {
    if (fast.together === undefined) throw new Error('GMAC has no such thing');
    together = fast.together;
  });

  function masksOf(datagrams: readonly Uint8Array[]): Uint8Array[] {
    const blocks = shared(Buffer.concat(datagrams.map(nonceOf)));
    together.mask(blocks, 0, blocks.length);
    return datagrams.map((_, i) => blocks.slice(i * BLOCK, (i + 1) * BLOCK));
  }

  it('are masked as AES-256 encrypts', () => {
    const datagrams = Array.from({ length: 9 }, (_, i) => signed(200, i + 1));
    const aes = createCipheriv('aes-256-ecb', sessionKey(KEY, 'AES-256-GMAC', TSI), null).setAutoPadding(false);
    const wanted = aes.update(Buffer.concat(datagrams.map(nonceOf)));
    expect(Buffer.concat(masksOf(datagrams)).equals(wanted)).toBe(true);
  });

  it.each([108, 127, 128, 129, 1452, 8940])('hold for datagrams of %i bytes, in any number and order', (length) => {
    const datagrams = Array.from({ length: 12 }, (_, i) => signed(length, i + 1));
    for (const some of [datagrams, datagrams.toReversed(), datagrams.slice(3, 8), datagrams.slice(0, 1)]) {
      expect(holdTogether(together, some)).toBe(true);
    }
  });

  it('do not hold when one bit of one datagram is another, wherever it is', () => {
    const datagrams = Array.from({ length: 3 }, (_, i) => signed(108, i + 1));
    for (const [i, datagram] of datagrams.entries()) {
      for (let bit = 0; bit < datagram.length * 8; bit += 1) {
        const other = datagram.slice();
        other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(holdTogether(together, datagrams.with(i, other)), `datagram ${i}, bit ${bit}`).toBe(false);
      }
    }
  });

  it('do not hold when two tags or two contents are exchanged', () => {
    const [a, b, c] = [signed(300, 1), signed(300, 2), signed(300, 3)];
    const [x, y] = [a.slice(), b.slice()];
    x.set(b.subarray(TAG_OFFSET, TAG_OFFSET + TAG_BYTES), TAG_OFFSET);
    y.set(a.subarray(TAG_OFFSET, TAG_OFFSET + TAG_BYTES), TAG_OFFSET);
    const [p, q] = [a.slice(), b.slice()];
    p.set(b.subarray(44), 44);
    q.set(a.subarray(44), 44);
    for (const all of [
      [x, y, c],
      [p, q, c],
    ]) {
      expect(holdTogether(together, all)).toBe(false);
    }
  });

  it('are no business of HMAC', () => {
    const hmac = makeLinkKey({ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', key: KEY }, accelerate);
    expect(hmac.session(TSI).together).toBeUndefined();
  });
});
