// Before a tag holds nothing is kept, parsed or computed but the tag (docs/PROTOCOL.md L-1, A-5).
import { HEADER_BYTES, TAG_OFFSET } from '@sluice/alc';
import { createCodec } from '@sluice/fec';
import type { LinkKey } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../trust/src/index.ts';
import { Bench, E, HEARTBEAT, SECOND, TSI, WAYS, type Way } from './bench.ts';
import { FAULTS } from './faults.ts';

/** What the machine calls, counted. */
class Calls {
  keys = 0;
  tags = 0;
  codec = 0;
  sha256 = 0;
  spool = 0;

  /** All but the tags. */
  get beyond(): number {
    return this.codec + this.sha256 + this.spool;
  }
}

function watched(way: Way, highest = 0): { bench: Bench; calls: Calls } {
  const calls = new Calls();
  const plain = createCodec();
  const key = (real: LinkKey): LinkKey => ({
    ...real,
    session: (tsi) => {
      calls.keys += 1;
      const session = real.session(tsi);
      return {
        sign: session.sign.bind(session),
        verify: (datagram, at) => {
          calls.tags += 1;
          return session.verify(datagram, at);
        },
        tags: (bytes, jobs, count) => {
          calls.tags += count;
          session.tags(bytes, jobs, count);
        },
      };
    },
  });
  const { keys, spool } = new Bench();
  const bench = new Bench({
    way,
    highest,
    parts: {
      keys: keys.map(key),
      spool: {
        open: (info) => {
          calls.spool += 1;
          return spool.open(info);
        },
        block: (...args) => {
          calls.spool += 1;
          return spool.block(...args);
        },
      },
      codec: {
        kind: plain.kind,
        encode: plain.encode.bind(plain),
        recover: (...args) => {
          calls.codec += 1;
          return plain.recover(...args);
        },
      },
      sha256: (...pieces) => {
        calls.sha256 += 1;
        return sha256(...pieces);
      },
    },
  });
  return { bench, calls };
}

/** All that one can see of a machine. */
const stateOf = ({ machine, events }: Bench) => ({
  events: [...events],
  highest: machine.highestLive,
  blockBytes: machine.blockBytes,
  lost: machine.lost,
  objects: [...machine.objects()].map((object) => [object.storedBlocks, ...object.missing()]),
  counters: { ...machine.counters, verdicts: 0 },
});

const spoiled = (datagram: Uint8Array): Uint8Array => {
  datagram[TAG_OFFSET + 7]! ^= 1;
  return datagram;
};

/** Datagrams of all kinds that would do something if their tags held. */
function temptations(bench: Bench, tsi: number): Uint8Array[] {
  const objects = [bench.object(3), bench.object(4000), bench.object(40, { contentType: HEARTBEAT })];
  const large = bench.random.bytes(60_000);
  return [
    ...bench.fdt(bench.document(objects), { tsi }),
    ...bench.fdt(new TextEncoder().encode('<!DOCTYPE x [<!ENTITY a "&a;&a;">]>&a;'), { tsi }),
    ...bench.fdt(large, { tsi }).slice(0, 5),
    ...objects.flatMap((object) => bench.symbols(object, { tsi })),
    bench.datagram(77, 5, 3, new Uint8Array(E), { tsi }),
    bench.datagram(78, 5, 3, new Uint8Array(E + 32), { tsi }),
  ].map(spoiled);
}

describe.each(WAYS)('a datagram whose tag does not hold, %s,', (way) => {
  it.each([
    ['the open session', TSI],
    ['a newer session', TSI + 5],
    ['an older session', TSI - 5],
    ['a media session', 2 ** 30 + 9],
    ['a repair session', 2 ** 31 + 9],
  ])('of %s changes nothing that can be seen', (_what, tsi) => {
    const { bench, calls } = watched(way);
    const half = bench.object(1000);
    bench.announce([half]);
    bench.sendAll(bench.symbols(half).slice(0, 5));
    const before = stateOf(bench);
    const beyond = calls.beyond;
    const verdicts = bench.sendAll(temptations(bench, tsi));
    expect(new Set(verdicts)).toEqual(new Set(['bad-tag']));
    expect(stateOf(bench)).toEqual(before);
    expect(calls.beyond).toBe(beyond);
  });

  it('opens no session, nor the first one, and ends none', () => {
    const { bench, calls } = watched(way, TSI);
    for (const tsi of [TSI, TSI + 1, 2 ** 30 + 1]) bench.sendAll(temptations(bench, tsi));
    expect(bench.events).toEqual([]);
    expect(calls.beyond).toBe(0);
    expect([bench.machine.highestLive, bench.machine.lost, bench.machine.blockBytes]).toEqual([TSI, 0, 0]);
    bench.send(bench.datagram(1, 0, 0, new Uint8Array(E)));
    bench.sendAll(temptations(bench, TSI + 9));
    bench.machine.tick(bench.now + 60 * SECOND);
    expect(bench.send(bench.datagram(1, 0, 1, new Uint8Array(E)))).toBe('accepted');
    expect(bench.eventsOf('session')).toEqual([{ type: 'session', tsi: TSI }]);
  });

  it('does not use up its sequence number, nor move the window', () => {
    const { bench } = watched(way);
    bench.send(bench.datagram(1, 0, 0, new Uint8Array(E)));
    const far = { sn: 2 ** 39 };
    expect(bench.send(spoiled(bench.datagram(1, 0, 1, new Uint8Array(E), far)))).toBe('bad-tag');
    expect(bench.send(bench.datagram(1, 0, 2, new Uint8Array(E)))).toBe('accepted');
    expect(bench.send(bench.datagram(1, 0, 1, new Uint8Array(E), far))).toBe('accepted');
  });

  it('does not set the length of its session', () => {
    const { bench } = watched(way);
    expect(bench.send(spoiled(bench.datagram(1, 0, 0, new Uint8Array(E + 64))))).toBe('bad-tag');
    expect(bench.send(bench.datagram(1, 0, 0, new Uint8Array(E)))).toBe('accepted');
    expect(bench.send(bench.datagram(1, 0, 0, new Uint8Array(E + 64)))).toBe('bad-length');
  });

  it('leaves at most 16 keys of sessions that are not open behind, and those it needs again it derives once', () => {
    const { bench, calls } = watched(way);
    bench.sendAll([0, 1, 2].map((esi) => bench.datagram(1, 0, esi, new Uint8Array(E))));
    const open = calls.keys;
    for (let i = 1; i <= 16; i += 1) bench.send(spoiled(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi: TSI + i })));
    expect(calls.keys).toBe(open + 16);
    for (let i = 1; i <= 16; i += 1) bench.send(spoiled(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi: TSI + i })));
    expect(calls.keys).toBe(open + 16);
    bench.send(spoiled(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi: TSI + 17 })));
    bench.send(spoiled(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi: TSI + 1 })));
    expect(calls.keys).toBe(open + 18);
    // The open session keeps its own.
    bench.send(bench.datagram(1, 0, 3, new Uint8Array(E)));
    expect(calls.keys).toBe(open + 18);
  });
});

describe.each(WAYS)('a datagram that is refused at a fixed offset, %s,', (way) => {
  const early = [
    'too-short',
    'too-long',
    'not-lct-1',
    'bad-header',
    'unknown-class',
    'bad-esi',
    'unknown-asid',
    'key-ended',
  ] as const;

  it.each(early.map((code) => ({ code, faults: FAULTS[code] })))('costs no tag: $code', ({ code, faults }) => {
    const { bench, calls } = watched(way);
    for (const { offend } of faults) expect(offend(bench)).toBe(code);
    expect(calls).toEqual(new Calls());
    expect(bench.events).toEqual([]);
  });

  it('costs no tag: replayed', () => {
    const { bench, calls } = watched(way);
    const datagrams = [0, 1, 2, 3].map((esi) => bench.datagram(1, 0, esi, new Uint8Array(E)));
    bench.sendAll(datagrams);
    const { tags } = calls;
    expect(tags).toBe(4);
    expect(new Set(bench.sendAll(datagrams.toReversed()))).toEqual(new Set(['replayed']));
    // Neither does one that was damaged and has a number that was seen.
    const damaged = datagrams[2]!.slice();
    damaged[HEADER_BYTES]! ^= 1;
    expect(bench.send(damaged)).toBe('replayed');
    expect(calls.tags).toBe(tags);
  });
});
