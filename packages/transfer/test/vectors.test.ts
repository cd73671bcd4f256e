// The vectors of test/vectors/alc through the whole receive machine: what the codec alone says of each is what it earns.
import { readdirSync, readFileSync } from 'node:fs';
import { FDT_HEADER_BYTES, HEADER_BYTES, readAsid, readTsi, TAG_OFFSET } from '@sluice/alc';
import { TAG_BYTES } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { testKeys } from '../../testkit/src/index.ts';
import { Bench, WAYS, type Way } from './bench.ts';

const DIRECTORY = new URL('../../../test/vectors/alc/', import.meta.url);

/** First line: `# ` and the expected code; other lines that start with `#` are prose; the rest is hexadecimal. */
const vectors = readdirSync(DIRECTORY).map((name) => {
  const lines = readFileSync(new URL(name, DIRECTORY), 'utf8').split('\n');
  const bytes = Uint8Array.fromHex(lines.filter((line) => !line.startsWith('#')).join(''));
  return { name, code: lines[0]?.slice(2) ?? '', bytes };
});
const datagrams = vectors.filter(({ name }) => name.startsWith('datagram-'));
const documents = vectors.filter(({ name }) => name.startsWith('fdt-'));
const KEYS = testKeys(Array.from({ length: 16 }, (_, asid) => `c${asid}`));

const bench = (way: Way): Bench => new Bench({ way, parts: { keys: KEYS } });

/** With a tag that holds under its own TSI and ASID, where there is room for one. */
function signed(bytes: Uint8Array): Uint8Array {
  const datagram = bytes.slice();
  if (datagram.length < TAG_OFFSET + TAG_BYTES) return datagram;
  KEYS[readAsid(datagram, 0)]?.session(readTsi(datagram, 0)).sign(datagram, TAG_OFFSET);
  return datagram;
}

describe.each(WAYS)('vectors, %s,', (way) => {
  it.each(datagrams)('under a tag that holds: $name is $code', ({ code, bytes }) => {
    const verdict = bench(way).send(signed(bytes));
    expect(verdict).toBe(code === 'object' || code === 'fdt' ? 'accepted' : code);
  });

  it.each(datagrams.filter(({ code }) => ['object', 'fdt', 'bad-fti', 'bad-sbn', 'fdt-too-large'].includes(code)))(
    'under a tag that does not: $name is bad-tag',
    ({ bytes }) => {
      const datagram = signed(bytes);
      datagram[datagram.length - 1]! ^= 1;
      expect(bench(way).send(datagram)).toBe('bad-tag');
    },
  );

  it.each(documents)('as an FDT Instance: $name is $code', ({ code, bytes }) => {
    // What is empty, or longer than an instance may be, cannot even be announced.
    const within = bytes.length > 0 && bytes.length <= 65_536;
    const receiver = bench(way);
    const symbolBytes = 1408;
    const shortened = within ? bytes : new Uint8Array(1);
    const sent = receiver.fdt(shortened, { symbolBytes, ntpSeconds: 4_000_000_000 });
    if (!within) {
      const length = bytes.length;
      sent[0]!.set([0, 0, 0, length >>> 16, (length >>> 8) & 255, length & 255], FDT_HEADER_BYTES - 22);
      receiver.signed(sent[0]!);
      expect(receiver.send(sent[0]!)).toBe(length === 0 ? 'bad-fti' : 'fdt-too-large');
      return;
    }
    expect(sent[0]).toHaveLength(HEADER_BYTES + symbolBytes);
    expect(receiver.sendAll(sent).at(-1)).toBe(code === 'valid' ? 'accepted' : code);
    expect(receiver.eventsOf('object').length > 0).toBe(code === 'valid');
  });

  it('are all there', () => {
    expect(datagrams.length).toBeGreaterThan(40);
    expect(documents.length).toBeGreaterThan(55);
  });
});
