import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encodeEnvelope, parseEnvelope } from '@sluice/bundle';
import { type Bundle, fileOf, pieceOf, seal, STATEMENT_TYPE } from './bundles.ts';
import { Receiver } from './receiver.ts';

/** Order of the group of P-256. */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const integer = (value: bigint): Buffer => {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  const positive = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
  return Buffer.concat([Buffer.of(2, positive.length), positive]);
};

/** (r, n - s) holds wherever (r, s) does: nobody's private key is needed. */
function twin(sig: Uint8Array): Uint8Array {
  const bytes = Buffer.from(sig);
  const rEnd = 4 + (bytes[3] ?? 0);
  const r = BigInt(`0x${bytes.subarray(4, rEnd).toString('hex')}`);
  const s = BigInt(`0x${bytes.subarray(rEnd + 2).toString('hex')}`);
  const body = Buffer.concat([integer(r), integer(N - s)]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

const envelopeOf = (bytes: Uint8Array) => {
  const parsed = parseEnvelope(bytes);
  if (!parsed.ok) throw new Error(parsed.error.detail);
  return parsed.value;
};

/** What somebody who has the transport key, and no release key, can make of an approved release. */
const RESPELLED: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  'a space more': (bytes) => Buffer.concat([Buffer.from(bytes), Buffer.from(' ')]),
  'its keys in another order': (bytes) => {
    const { payloadType, payload, signatures } = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
    return Buffer.from(JSON.stringify({ signatures, payload, payloadType }));
  },
  'a signature twice': (bytes) => {
    const { payload, signatures } = envelopeOf(bytes);
    return encodeEnvelope({ payload, signatures: [...signatures, ...signatures] });
  },
  'a signature of nobody': (bytes) => {
    const { payload, signatures } = envelopeOf(bytes);
    return encodeEnvelope({ payload, signatures: [...signatures, { keyid: 'ab'.repeat(32), sig: randomBytes(64) }] });
  },
  'the other signature of the same ECDSA key': (bytes) => {
    const { payload, signatures } = envelopeOf(bytes);
    return encodeEnvelope({ payload, signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: twin(sig) })) });
  },
};

const again = (first: Bundle, sequence: number, previous: Bundle, release: Bundle['release']): Bundle => ({
  ...seal({
    sequence,
    previous: previous.id,
    blobs: first.blobs,
    statement: (statement) => ({ ...statement, release: { digest: release.digest, size: release.bytes.length } }),
  }),
  release,
});

describe('an approved release that was published before, in another envelope', () => {
  it.each(Object.entries(RESPELLED))('does not bring old versions back: %s', async (_, respelled) => {
    const [old, fixed] = [randomBytes(2000), randomBytes(2000)];
    const receiver = await Receiver.open();
    const first = seal({ sequence: 1, blobs: [old], artifacts: [fileOf(old, 'app')] });
    await receiver.take(first);
    const second = seal({ sequence: 2, previous: first.id, blobs: [fixed], artifacts: [fileOf(fixed, 'app')] });
    await receiver.take(second);
    expect([receiver.state(first.id), receiver.state(second.id)]).toEqual(['published', 'published']);
    const release = pieceOf(respelled(first.release.bytes), STATEMENT_TYPE);
    expect(release.digest).not.toBe(first.release.digest);
    const third = again(first, 3, second, release);
    await receiver.take(third);
    expect(receiver.state(third.id)).toBe('quarantined: release-repeated');
  });
});
