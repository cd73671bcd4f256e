import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TAG_OFFSET } from '@sluice/alc';
import { TAG_BYTES, type TagAlgorithm } from '@sluice/ports';
import { LINK_KEY_BYTES, makeLinkKey, parseLinkKey, sessionKey } from '@sluice/trust';
import { hasOpenssl, openssl, WITH_OPENSSL } from './openssl.ts';

const DIRECTORY = new URL('../../../test/vectors/auth/', import.meta.url);
const ALGORITHMS: readonly TagAlgorithm[] = ['HMAC-SHA-256-128', 'AES-256-GMAC'];

interface Vector {
  readonly name: string;
  readonly code: string;
  readonly algorithm: TagAlgorithm;
  readonly linkKey: Uint8Array;
  readonly sessionKey: string;
  readonly datagram: Uint8Array;
  readonly tsi: number;
}

/** First line: `# ` and what a receiver says. Lines `# algorithm`, `# link-key` and `# session-key` give the keys; the rest is the datagram. */
function read(name: string): Vector {
  const lines = readFileSync(new URL(name, DIRECTORY), 'utf8').split('\n');
  const field = (label: string): string =>
    lines.find((line) => line.startsWith(`# ${label} `))?.slice(label.length + 3) ?? '';
  const datagram = Uint8Array.fromHex(lines.filter((line) => !line.startsWith('#')).join(''));
  const algorithm = ALGORITHMS.find((each) => each === field('algorithm'));
  if (algorithm === undefined) throw new Error(`${name} names no algorithm`);
  return {
    name,
    code: lines[0]?.slice(2) ?? '',
    algorithm,
    linkKey: Uint8Array.fromHex(field('link-key')),
    sessionKey: field('session-key'),
    datagram,
    tsi: new DataView(datagram.buffer).getUint32(8),
  };
}

const vectors = readdirSync(DIRECTORY).map(read);
const authenticator = ({ algorithm, linkKey, tsi }: Pick<Vector, 'algorithm' | 'linkKey' | 'tsi'>) =>
  makeLinkKey({ asid: 3, channel: 'prod', algorithm, key: linkKey }).session(tsi);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const zeroed = (datagram: Uint8Array): Uint8Array => datagram.slice().fill(0, TAG_OFFSET, TAG_OFFSET + TAG_BYTES);

describe('vectors of authentication', () => {
  it('are all there', () => {
    expect(vectors.filter(({ code }) => code === 'valid')).toHaveLength(4);
    expect(vectors.filter(({ code }) => code === 'bad-tag')).toHaveLength(26);
    expect(vectors).toHaveLength(30);
  });

  it.each(vectors)('$name: $code', (vector) => {
    const before = hex(vector.datagram);
    expect(authenticator(vector).verify(vector.datagram, TAG_OFFSET)).toBe(vector.code === 'valid');
    expect(hex(vector.datagram)).toBe(before);
    expect(hex(sessionKey(vector.linkKey, vector.algorithm, vector.tsi))).toBe(vector.sessionKey);
  });

  it.each(vectors.filter(({ code }) => code === 'valid'))('$name is signed in the same bytes', (vector) => {
    const datagram = vector.datagram.slice().fill(0xee, TAG_OFFSET, TAG_OFFSET + TAG_BYTES);
    authenticator(vector).sign(datagram, TAG_OFFSET);
    expect(hex(datagram)).toBe(hex(vector.datagram));
  });
});

describe.skipIf(!hasOpenssl)(WITH_OPENSSL, () => {
  it.each(vectors.filter(({ code }) => code === 'valid'))(
    'on $name',
    ({ algorithm, linkKey, tsi, datagram, ...vector }) => {
      const info = Buffer.concat([Buffer.from(`sluice v1 ${algorithm}\0`), datagram.subarray(8, 12)]);
      const derived = openssl(
        `kdf -keylen 32 -kdfopt digest:SHA2-256 -kdfopt hexkey:${hex(linkKey)} -kdfopt hexinfo:${hex(info)} -binary HKDF`,
      );
      expect(hex(derived)).toBe(vector.sessionKey);
      const nonce = Buffer.concat([datagram.subarray(8, 12), Buffer.alloc(3), datagram.subarray(19, 24)]);
      const how = algorithm === 'AES-256-GMAC' ? `-cipher AES-256-GCM -macopt hexiv:${hex(nonce)}` : '-digest SHA256';
      const name = algorithm === 'AES-256-GMAC' ? 'GMAC' : 'HMAC';
      const tag = openssl(`mac ${how} -macopt hexkey:${hex(derived)} -in - -binary ${name}`, zeroed(datagram)).subarray(
        0,
        TAG_BYTES,
      );
      expect(hex(tag)).toBe(hex(datagram.subarray(TAG_OFFSET, TAG_OFFSET + TAG_BYTES)));
      expect(tsi).toBe(0x0b162280);
    },
  );
});

describe.each(ALGORITHMS)('%s', (algorithm) => {
  const linkKey = Uint8Array.from({ length: LINK_KEY_BYTES }, (_, i) => 200 - i);
  const session = authenticator({ algorithm, linkKey, tsi: 7 });
  const signed = (length: number, seed: number): Uint8Array => {
    const datagram = Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 255);
    session.sign(datagram, TAG_OFFSET);
    return datagram;
  };

  it('covers every bit of a datagram', () => {
    const datagram = signed(108, 1);
    for (let bit = 0; bit < datagram.length * 8; bit += 1) {
      const other = datagram.slice();
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(session.verify(other, TAG_OFFSET), `bit ${String(bit)}`).toBe(false);
    }
    expect(session.verify(datagram, TAG_OFFSET)).toBe(true);
  });

  it('covers every byte of the longest datagram, in a slot of a larger buffer', () => {
    const ring = new Uint8Array(20_000).fill(0x5a);
    const slot = ring.subarray(1001, 1001 + 8940);
    slot.set(signed(8940, 2));
    expect(session.verify(slot, TAG_OFFSET)).toBe(true);
    for (const at of [0, 8, 19, 43, 44, 4000, 8939]) {
      slot[at] = (slot[at] ?? 0) ^ 128;
      expect(session.verify(slot, TAG_OFFSET)).toBe(false);
      slot[at] = (slot[at] ?? 0) ^ 128;
    }
    session.sign(slot, TAG_OFFSET);
    expect(ring.subarray(0, 1001).every((byte) => byte === 0x5a)).toBe(true);
    expect(ring.subarray(1001 + 8940).every((byte) => byte === 0x5a)).toBe(true);
  });

  it('judges each datagram by itself, whatever came before', () => {
    const datagrams = Array.from({ length: 20 }, (_, i) => signed(108 + 16 * (i % 3), i));
    for (const datagram of [...datagrams, ...datagrams.toReversed()])
      expect(session.verify(datagram, TAG_OFFSET)).toBe(true);
  });

  it('has another key for another session, link key and algorithm', () => {
    const other = ALGORITHMS.find((each) => each !== algorithm) ?? algorithm;
    const keys = [
      sessionKey(linkKey, algorithm, 7),
      sessionKey(linkKey, algorithm, 8),
      sessionKey(linkKey, other, 7),
      sessionKey(linkKey.toReversed(), algorithm, 7),
    ].map(hex);
    expect(new Set(keys).size).toBe(4);
    expect(keys.every((key) => key.length === 2 * LINK_KEY_BYTES)).toBe(true);
  });

  it('takes a key of 32 bytes only', () => {
    for (const length of [0, 16, 31, 33])
      expect(() => makeLinkKey({ asid: 0, channel: 'c', algorithm, key: new Uint8Array(length) })).toThrow(/32 bytes/);
  });
});

describe('a link key file', () => {
  const digits = '00112233445566778899aAbBcCdDeEfF'.repeat(2);

  it.each([digits, `${digits}\n`, `${digits}\r\n`])('is one line of 64 digits: %j', (text) => {
    expect(hex(parseLinkKey(text))).toBe(digits.toLowerCase());
  });

  it.each([
    '',
    digits.slice(1),
    `${digits}0`,
    `${digits}\n${digits}\n`,
    `0x${digits.slice(2)}`,
    digits.replace('A', 'g'),
    `${digits.slice(0, 32)} ${digits.slice(32)}`,
  ])('is nothing else: %j', (text) => {
    const reading = (): unknown => parseLinkKey(text);
    expect(reading).toThrow(expect.objectContaining({ code: 'key-malformed', retryable: false }) as Error);
    expect(reading).toThrow(/must be 64 hexadecimal digits/);
    if (text !== '') expect(reading).not.toThrow(text);
  });
});
