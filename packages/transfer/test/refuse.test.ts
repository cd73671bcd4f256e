// Hostile and damaged datagrams (docs/PROTOCOL.md section 10): each gets its code, and none does any harm.
import { encodeFdt, FDT_FILES_MAX, FDT_BYTES_MAX, parseFdt } from '@sluice/alc';
import { DATAGRAM_CODES, type DatagramCode } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { digestOf, Random } from '../../testkit/src/index.ts';
import { B, Bench, E, NTP, TSI, WAYS } from './bench.ts';
import { FAULTS } from './faults.ts';

const CASES = Object.entries(FAULTS).flatMap(([code, faults]) =>
  faults.map((fault) => ({ code: code as DatagramCode, ...fault })),
);
/** Codes of which the sender's own counters say nothing: they are about objects, not datagrams. */
const WITNESS_BYTES = 3 * B * E - 7;

/** A bench in the middle of receiving an object: half the symbols of each block are there. */
function inTheMiddle(...options: ConstructorParameters<typeof Bench>) {
  const bench = new Bench(...options);
  const witness = bench.object(WITNESS_BYTES);
  bench.announce([witness]);
  const symbols = bench.symbols(witness);
  const rest = symbols.filter((_, i) => i % 2 === 1);
  bench.sendAll(symbols.filter((_, i) => i % 2 === 0));
  return { bench, witness, rest };
}

describe.each(WAYS)('a datagram that is refused, %s,', (way) => {
  it.each(CASES)('gets its code and does no harm: $code, $what', ({ code, limits, offend, lift }) => {
    const { bench, witness, rest } = inTheMiddle({ way, ...(limits === undefined ? {} : { limits }) });
    const counted = bench.machine.counters.verdicts.get(code) ?? 0;
    const whole = bench.eventsOf('object-whole').length;
    expect(offend(bench)).toBe(code);
    expect(bench.machine.counters.verdicts.get(code)).toBe(counted + 1);
    expect(bench.eventsOf('object-whole')).toHaveLength(whole);
    lift?.(bench);
    // What was being received goes on in the same session, and so does what comes next.
    if (code !== 'replayed') expect(bench.sendAll(rest).every((verdict) => verdict === 'accepted')).toBe(true);
    else bench.sendAll(bench.symbols(witness));
    expect(bench.arrived(witness)).toBe(true);
    expect(bench.carries()).toBe(true);
    expect(bench.eventsOf('session')).toEqual([{ type: 'session', tsi: TSI }]);
    expect(bench.machine.highestLive).toBe(TSI);
  });

  it('is told of when its session is older than the newest', () => {
    const { bench } = inTheMiddle({ way });
    for (const tsi of [1, TSI - 1]) bench.send(bench.datagram(1, 0, 0, new Uint8Array(E), { tsi }));
    expect(bench.eventsOf('epoch-went-back')).toEqual([
      { type: 'epoch-went-back', tsi: 1, highest: TSI },
      { type: 'epoch-went-back', tsi: TSI - 1, highest: TSI },
    ]);
  });

  it('has used up its number when only its length is wrong', () => {
    const { bench } = inTheMiddle({ way });
    const long = bench.datagram(1, 0, 0, new Uint8Array(E + 16));
    expect(bench.send(long)).toBe('bad-length');
    expect(bench.send(long)).toBe('replayed');
  });
});

describe('the table', () => {
  it('has every code there is, but the one that no datagram can earn', () => {
    expect([...Object.keys(FAULTS), 'fdt-too-many-files'].sort()).toEqual([...DATAGRAM_CODES].sort());
    for (const faults of Object.values(FAULTS)) expect(faults.length).toBeGreaterThan(0);
  });

  it('lacks fdt-too-many-files: so many files do not fit in an FDT Instance, and fdt-too-large comes first', () => {
    const digest = digestOf(new Uint8Array());
    const shortest = { toi: 1, digest, length: 1, contentType: 'application/x-tar' } as const;
    const parameters = { expires: NTP, maxBlock: B, symbolBytes: E, maxSymbols: 255 };
    const one = encodeFdt({ ...parameters, files: [shortest] }).length;
    const two = encodeFdt({ ...parameters, files: [shortest, { ...shortest, toi: 2 }] }).length;
    expect((FDT_FILES_MAX + 1) * (two - one)).toBeGreaterThan(FDT_BYTES_MAX);
    // The parser knows the code all the same, for a limit on bytes that would let them in.
    const files = Array.from({ length: 3 }, (_, i) => ({ ...shortest, toi: i + 1 }));
    const parsed = parseFdt(encodeFdt({ ...parameters, files }), { bytes: FDT_BYTES_MAX, files: 2 });
    expect(parsed).toEqual({ ok: false, error: 'fdt-too-many-files' });
  });
});

describe.each(WAYS)('damage, %s,', (way) => {
  it('of any one bit is found', () => {
    const { bench, witness, rest } = inTheMiddle({ way });
    const object = bench.object(100);
    const fdt = bench.fdt(bench.document([object]))[0]!;
    const symbol = bench.block(witness, 1, [B + 3])[0]!;
    for (const datagram of [symbol, fdt]) {
      for (let bit = 0; bit < datagram.length * 8; bit += 1) {
        const damaged = datagram.slice();
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        expect(['accepted', 'surplus', 'old-session'], `bit ${bit}`).not.toContain(bench.send(damaged));
      }
    }
    // The good ones have not been used up.
    expect([bench.send(symbol), bench.send(fdt)]).toEqual(['accepted', 'accepted']);
    expect(bench.sendAll(rest)).not.toContain('bad-tag');
    expect(bench.arrived(witness)).toBe(true);
    expect(bench.eventsOf('session')).toHaveLength(1);
  });

  it('of any kind is survived: random bytes, and good datagrams with random changes', () => {
    const { bench, witness, rest } = inTheMiddle({ way });
    const random = new Random(20);
    for (let turn = 0; turn < 3000; turn += 1) {
      const bytes = random.chance(0.5) ? bench.block(witness, 0, [B + 1])[0]! : random.bytes(random.below(300));
      const changes = random.chance(0.5) ? 1 + random.below(4) : 0;
      for (let i = 0; i < changes && bytes.length > 0; i += 1)
        bytes[random.below(bytes.length)]! ^= 1 + random.below(255);
      const length = random.chance(0.3) ? random.below(bytes.length + 1) : bytes.length;
      if (changes === 0 && length === E + 44) continue;
      expect(['accepted', 'surplus'], `turn ${turn}`).not.toContain(bench.send(bytes.subarray(0, length)));
    }
    bench.sendAll(rest);
    expect(bench.arrived(witness)).toBe(true);
    expect(bench.carries()).toBe(true);
    expect(bench.eventsOf('session')).toHaveLength(1);
  });
});
