// What leaves the sender, and in which order.
import { type Fdt, HEADER_BYTES, isExpired, ntpFromUnix, TAG_OFFSET } from '@sluice/alc';
import { makeProfile, passEsis, PROFILES, repairCount } from '@sluice/fec';
import { describe, expect, it } from 'vitest';
import { Air, documentOf, fdtOf, type Flight, HEARTBEAT, MS, SECOND, sendings, STATEMENT, WALL } from './air.ts';

const symbolsOf = (flights: readonly Flight[], toi: number): Flight[] => flights.filter((f) => f.toi === toi);
const tois = (flights: readonly Flight[]): number[] =>
  [...new Set(flights.map(({ toi }) => toi))].filter((toi) => toi > 0);
/** The documents that left, each once, in order. */
const fdts = (flights: readonly Flight[]): Fdt[] => {
  const first = new Map(
    sendings(flights)
      .toReversed()
      .map((sending) => [sending[0]!.fdt!.instanceId, sending]),
  );
  return [...first.keys()].sort((a, b) => a - b).map((id) => fdtOf(first.get(id)!));
};
const first = (flights: readonly Flight[], toi: number): Flight => symbolsOf(flights, toi)[0]!;
const last = (flights: readonly Flight[], toi: number): Flight => symbolsOf(flights, toi).at(-1)!;

describe.each([
  ['in the plain form', false],
  ['by the kernel', true],
])('every datagram, made %s,', (_how, kernel) => {
  const air = new Air({ rate: 2e7, kernel });
  air.machine.submit(air.order([300_000, 700]));
  air.machine.submit(air.order([40_000], { asid: 1, bundle: 'c' }));
  let beat = 0;
  const flights = [...air.run(({ at }) => at > 5.1 * SECOND)];
  for (; air.machine.pending > 0; beat += 1) {
    air.heartbeat(beat % 2);
    const from = air.now;
    flights.push(...air.run(({ at }) => at > from + 50 * MS));
  }
  flights.push(...air.run());

  it('has one length', () => {
    expect(beat).toBeGreaterThan(5);
    expect(new Set(flights.map(({ bytes }) => bytes.length))).toEqual(new Set([HEADER_BYTES + 256]));
  });

  it('has the next sequence number, over both channels, FDT Instances and heartbeats', () => {
    expect(new Set(flights.map(({ asid }) => asid))).toEqual(new Set([0, 1]));
    expect(flights.map(({ sn }) => sn)).toEqual(flights.map((_, i) => i + 1));
  });

  it('has a tag that holds under the key of its channel, and under no other', () => {
    const [prod, lab] = air.keys.map((key) => key.session(1000));
    for (const { bytes, asid } of flights) {
      expect(prod?.verify(bytes, TAG_OFFSET)).toBe(asid === 0);
      expect(lab?.verify(bytes, TAG_OFFSET)).toBe(asid === 1);
    }
  });

  it('leaves no earlier than the one before it', () => {
    const times = flights.map(({ at }) => at);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('belongs to a TOI, or an FDT Instance, that nothing else of the session has', () => {
    const named = fdts(flights).flatMap(({ files }) => files.map(({ toi }) => toi));
    expect(named).toEqual(named.map((_, i) => i + 1));
    expect(tois(flights).sort((a, b) => a - b)).toEqual(named);
    const ids = [...new Set(flights.flatMap(({ fdt }) => fdt?.instanceId ?? []))];
    expect(ids.sort((a, b) => a - b)).toEqual(ids.map((_, i) => i + 1));
  });

  it('is counted', () => {
    const { counters } = air.machine;
    expect(counters.datagrams).toBe(flights.length);
    expect(counters.fdtDatagrams).toBe(flights.filter(({ fdt }) => fdt !== undefined).length);
    expect(counters.sourceSymbols + counters.repairSymbols + counters.fdtDatagrams).toBe(flights.length);
    expect(counters.heartbeats).toBe(beat);
  });
});

describe('statements', () => {
  const OUTAGE = 30;
  const air = new Air({ rate: 1e8, outageMs: OUTAGE, statementLeadMs: 400 });
  const order = air.order([50_000, 2000]);
  air.machine.submit(order);
  const flights = air.run();

  it('leave first, twice, and once more at the end, each time as new objects', () => {
    const named = fdts(flights).map(({ files }) => files.map(({ digest, contentType }) => ({ digest, contentType })));
    const [transport, release] = order.statements.map(({ digest }) => ({ digest, contentType: STATEMENT }));
    const blobs = order.objects.map(({ digest, contentType }) => ({ digest, contentType }));
    expect(named).toEqual([[transport, release], [transport, release], blobs, [transport, release]]);
    expect(first(flights, 3).at).toBeGreaterThan(Math.max(last(flights, 1).at, last(flights, 2).at));
    expect(first(flights, 5).at).toBeGreaterThan(Math.max(last(flights, 3).at, last(flights, 4).at));
    expect(first(flights, 7).at).toBeGreaterThan(Math.max(last(flights, 5).at, last(flights, 6).at));
  });

  it('leave an outage apart at least', () => {
    expect(first(flights, 3).at - first(flights, 1).at).toBeGreaterThanOrEqual(OUTAGE * MS);
    expect(last(flights, 3).at - last(flights, 1).at).toBeGreaterThanOrEqual(OUTAGE * MS);
  });

  it('bring other symbols each time, and others again in the next pass', () => {
    const esis = (toi: number): number[] => symbolsOf(flights, toi).map(({ esi }) => esi);
    const k = Math.ceil(1700 / 256);
    const m = repairCount(k, PROFILES.robust);
    for (const [run, toi] of [2, 4, 8].entries()) expect(esis(toi)).toEqual([...passEsis(run, k, m)]);
    const later = new Air({ rate: 1e8 });
    later.machine.submit(later.order([], { pass: 4 }));
    const again = later.run();
    expect(symbolsOf(again, 2).map(({ esi }) => esi)).toEqual([...passEsis(12, k, m)]);
    expect(symbolsOf(again, 6).map(({ esi }) => esi)).toEqual([...passEsis(14, k, m)]);
  });

  it('have statementLead to themselves before the first blob', () => {
    const end = Math.max(last(flights, 3).at, last(flights, 4).at);
    const blob = flights.find(({ fdt }) => fdt?.instanceId === 3)!;
    expect(blob.at - end).toBeGreaterThanOrEqual(400 * MS);
    expect(blob.at - end).toBeLessThan(401 * MS);
    // What goes off air is announced once more, then nothing leaves.
    const between = flights.filter(({ at, sn }) => at > end && sn < blob.sn);
    expect(between.every(({ fdt, at }) => fdt?.instanceId === 2 && at < end + 10 * MS)).toBe(true);
  });

  it('have the time that their bytes take at 10 MB a second, where that is more', () => {
    const large = new Air({ rate: Infinity, outageMs: 0, symbolBytes: 1408, statementLeadMs: 10 });
    const release = large.object(8_000_000, STATEMENT);
    large.machine.submit({ ...large.order([2000]), statements: [large.object(900, STATEMENT), release] });
    const all = large.run();
    const quiet = first(all, 5).at - Math.max(last(all, 3).at, last(all, 4).at);
    expect(quiet).toBeGreaterThanOrEqual(800 * MS);
    expect(quiet).toBeLessThan(801 * MS);
  });

  it('are waited for by nobody in a bundle without blobs', () => {
    const bare = new Air({ statementLeadMs: 10_000 });
    bare.machine.submit(bare.order([]));
    const all = bare.run();
    expect(tois(all)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(all.at(-1)!.at - all[0]!.at).toBeLessThan(5 * SECOND);
  });
});

describe('FDT Instances', () => {
  const OUTAGE = 20;
  const air = new Air({ rate: 4e6, outageMs: OUTAGE });
  air.machine.submit(air.order([500_000, 400, 60_000]));
  const flights = air.run();
  const all = sendings(flights);
  const ofBlobs = all.filter(([flight]) => flight?.fdt?.instanceId === 3);

  it('leave before the objects they name', () => {
    const named = new Set<number>();
    for (const flight of flights) {
      if (flight.toi > 0) expect(named, `SN ${flight.sn}`).toContain(flight.toi);
      const sending = all.find((each) => each.at(-1) === flight);
      if (sending !== undefined) for (const { toi } of fdtOf(sending).files) named.add(toi);
    }
    expect(named.size).toBe(9);
  });

  it('leave again every 250 ms while their objects are on air, and once more at the end', () => {
    expect(ofBlobs.length).toBeGreaterThan(5);
    const starts = ofBlobs.map((sending) => sending[0]!.at);
    const gaps = starts.slice(1).map((at, i) => at - starts[i]!);
    // The second comes one and a half outages after the first.
    expect(gaps[0]).toBeGreaterThanOrEqual(1.5 * OUTAGE * MS);
    expect(gaps[0]).toBeLessThan(1.5 * OUTAGE * MS + 10 * MS);
    expect(Math.max(...gaps)).toBeLessThan(270 * MS);
    const end = Math.max(...[5, 6, 7].map((toi) => last(flights, toi).at));
    expect(starts.at(-1)! - end).toBeLessThan(10 * MS);
    expect(starts.at(-1)!).toBeGreaterThan(end);
  });

  it('are byte-identical under one id, and each sending brings other symbols of them', () => {
    const documents = new Map<number, Set<string>>();
    const esis = new Map<number, number[]>();
    for (const sending of all) {
      const { instanceId } = sending[0]!.fdt!;
      documents.set(instanceId, (documents.get(instanceId) ?? new Set()).add(documentOf(sending).toHex()));
      esis.set(instanceId, [...(esis.get(instanceId) ?? []), ...sending.map(({ esi }) => esi)]);
    }
    expect([...documents.values()].map(({ size }) => size)).toEqual([1, 1, 1, 1]);
    expect(new Set(documents.values().map((set) => [...set][0])).size).toBe(4);
    for (const list of esis.values()) {
      const distinct = list.slice(0, 255);
      expect(new Set(distinct).size).toBe(distinct.length);
    }
  });

  it('carry the sender time of their departure, and are good for a day', () => {
    for (const [flight] of all) {
      const sent = ntpFromUnix(WALL + flight!.at / SECOND);
      expect(Math.abs(flight!.fdt!.ntpSeconds - sent)).toBeLessThanOrEqual(1);
    }
    const { expires } = fdtOf(all[0]!);
    const day = ntpFromUnix(WALL + 5 + 86_400);
    expect(isExpired(expires, day - 1)).toBe(false);
    expect(isExpired(expires, day + 2)).toBe(true);
  });

  it('name no more files than fit, in as many instances as it takes', () => {
    const many = new Air({ rate: Infinity, outageMs: 0 });
    many.machine.submit(many.order(Array.from({ length: 900 }, (_, i) => 1 + (i % 40))));
    const files = fdts(many.run());
    expect(files.length).toBe(3 + 3);
    expect(files.flatMap((fdt) => fdt.files).length).toBe(6 + 900);
  });

  it.each([1e5, 1e6, 3e6])('leave most of the airtime to the symbols at %d bit/s', (rate) => {
    const slow = new Air({ rate, symbolBytes: 1408, statementLeadMs: 0 });
    slow.machine.submit(slow.order(Array.from({ length: 300 }, () => 1500)));
    const from = slow.now;
    const seen = slow.run(({ at }) => at > from + 60 * SECOND);
    const blobs = seen.filter(({ at }) => at > first(seen, 5).at);
    const share = blobs.filter(({ fdt }) => fdt !== undefined).length / blobs.length;
    expect(blobs.length).toBeGreaterThan(100);
    expect(share).toBeLessThan(0.5);
  });
});

describe('a pass', () => {
  it.each([
    [1, 1, 3],
    [256, 1, 3],
    [257, 2, 4],
    [6 * 256, 6, 8],
    [16 * 256, 16, 9],
    [199 * 256, 199, 20],
    [200 * 256, 200, 20],
  ])('of an object of %i bytes sends %i source and %i repair symbols', (size, k, m) => {
    const air = new Air();
    air.machine.submit(air.order([size]));
    const symbols = symbolsOf(air.run(), 5);
    expect(symbols.map(({ esi }) => esi)).toEqual(Array.from({ length: k + m }, (_, i) => i));
  });

  it('sends the k + m symbols from p (k + m) of each block, each once', () => {
    const profile = makeProfile({ name: 'p', maxBlock: 30, repair: 5 });
    for (const pass of [0, 1, 2, 7, 255, 1000]) {
      const air = new Air({ profile });
      air.machine.submit(air.order([100 * 256], { pass }));
      const symbols = symbolsOf(air.run(), 5);
      for (let sbn = 0; sbn < 4; sbn += 1) {
        const esis = symbols.filter((flight) => flight.sbn === sbn).map(({ esi }) => esi);
        expect(esis).toEqual([...passEsis(pass, 25, repairCount(25, profile))]);
      }
    }
  });

  it.each([false, true])(
    'pads the last symbol of an object with zeros, whatever went before (kernel: %s)',
    (kernel) => {
      const air = new Air({ kernel });
      const order = air.order([2 * 256, 257]);
      air.machine.submit(order);
      const padded = symbolsOf(air.run(), 6).find(({ esi }) => esi === 1)!;
      expect(padded.bytes[HEADER_BYTES]).not.toBe(0);
      expect(padded.bytes.subarray(HEADER_BYTES + 1).every((byte) => byte === 0)).toBe(true);
    },
  );

  it('tells how far it is, then that it is done', () => {
    const air = new Air({ rate: 1e7 });
    air.machine.submit(air.order([300_000, 500], { bundle: 'x', pass: 3 }));
    expect(air.machine.pending).toBe(1);
    air.run();
    expect(air.machine.pending).toBe(0);
    const progress = air.events.filter((event) => event.type === 'progress');
    expect(
      progress.every(({ bundle, pass, totalBytes }) => bundle === 'x' && pass === 3 && totalBytes === 300_500),
    ).toBe(true);
    const sent = progress.map(({ sentBytes }) => sentBytes);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(sent.at(-1)).toBe(300_500);
    expect(air.events.at(-1)).toEqual({ type: 'pass-done', bundle: 'x', pass: 3, kind: 'full' });
  });

  it('is given up when an object cannot be read, and the next one goes on', () => {
    const air = new Air();
    const broken = air.order([5000, 700_000, 5000], { bundle: 'broken' });
    air.lose(broken.objects[1]!);
    air.machine.submit(broken);
    air.machine.submit(air.order([3000], { bundle: 'next' }));
    const flights = air.run();
    const ends = air.events.filter(({ type }) => type !== 'progress');
    expect(ends).toEqual([
      { type: 'pass-failed', bundle: 'broken', pass: 0, kind: 'full', error: expect.any(Error) as Error },
      { type: 'pass-done', bundle: 'next', pass: 0, kind: 'full' },
    ]);
    expect(flights.map(({ sn }) => sn)).toEqual(flights.map((_, i) => i + 1));
  });

  it('is taken out when it is cancelled, on air or waiting, with its FDT Instance', () => {
    const air = new Air({ rate: 4e6 });
    air.machine.submit(air.order([900_000], { bundle: 'a' }));
    air.machine.submit(air.order([2000], { bundle: 'b' }));
    air.machine.submit(air.order([2000], { bundle: 'a', pass: 1 }));
    const before = air.run(({ toi }) => toi === 5);
    const gone = before.at(-1)!;
    air.machine.cancel('a');
    expect(air.machine.pending).toBe(1);
    const after = air.run();
    expect(tois(after)).toEqual([6, 7, 8, 9, 10, 11, 12]);
    expect(after.every(({ fdt }) => fdt === undefined || fdt.instanceId > 3)).toBe(true);
    expect(after[0]!.sn).toBe(gone.sn + before.length - before.indexOf(gone));
    expect(air.events.filter(({ type }) => type === 'pass-done')).toEqual([
      { type: 'pass-done', bundle: 'b', pass: 0, kind: 'full' },
    ]);
    air.now += 10 * SECOND;
    air.machine.cancel('b');
    expect(air.run()).toEqual([]);
  });

  it('that is cancelled leaves no FDT Instance on air, also when nothing comes after it', () => {
    const air = new Air({ rate: 4e6 });
    air.machine.submit(air.order([900_000]));
    air.run(({ toi }) => toi === 5);
    air.machine.cancel('b');
    for (let second = 0; second < 5; second += 1) {
      air.now += SECOND;
      air.heartbeat();
      expect(air.run().every(({ fdt }) => fdt === undefined || fdt.instanceId > 3)).toBe(true);
    }
  });
});

describe('a heartbeat', () => {
  it('is an object of one symbol with a TOI and an FDT Instance of its own, under the channel', () => {
    const air = new Air();
    for (const asid of [0, 1, 0]) air.heartbeat(asid);
    const flights = air.run();
    expect(sendings(flights)).toHaveLength(3);
    for (const [i, sending] of sendings(flights).entries()) {
      const asid = i % 2;
      const { files, expires } = fdtOf(sending);
      expect(files).toEqual([expect.objectContaining({ toi: i + 1, contentType: HEARTBEAT })]);
      const symbols = symbolsOf(flights, i + 1);
      expect(symbols.map(({ esi }) => esi)).toEqual([0, 1, 2, 3]);
      expect([...sending, ...symbols].every((flight) => flight.asid === asid)).toBe(true);
      expect(symbols[0]!.sn).toBeGreaterThan(sending.at(-1)!.sn);
      const sent = ntpFromUnix(WALL + 5);
      expect(isExpired(expires, sent + 59)).toBe(false);
      expect(isExpired(expires, sent + 62)).toBe(true);
    }
  });

  it('goes ahead of all else', () => {
    const air = new Air({ rate: 1e7 });
    air.machine.submit(air.order([400_000]));
    air.run(({ toi }) => toi === 5);
    air.heartbeat();
    const flights = air.run();
    const beat = sendings(flights).find((sending) => fdtOf(sending).files[0]?.contentType === HEARTBEAT)!;
    const symbols = symbolsOf(flights, fdtOf(beat).files[0]!.toi);
    expect(symbols).toHaveLength(4);
    expect(symbols.at(-1)!.sn - flights[0]!.sn).toBeLessThan(16);
  });

  it('that does not fit in one symbol is a mistake of the caller', () => {
    const air = new Air();
    const body = new Uint8Array(257);
    const object = { digest: air.object(1).digest, size: 257, contentType: HEARTBEAT } as const;
    expect(() => {
      air.machine.heartbeat(0, object, body);
    }).toThrow(/fit in one symbol/);
  });
});

describe('a new session', () => {
  it('begins with the next pass: the one on air, and heartbeats beside it, end where they began', () => {
    const air = new Air({ rate: 4e6 });
    air.machine.submit(air.order([900_000]));
    air.machine.submit(air.order([2000], { pass: 1 }));
    air.run(({ toi }) => toi === 5);
    air.machine.roll(2000);
    air.heartbeat();
    const flights = air.run();
    const border = flights.findIndex(({ tsi }) => tsi === 2000);
    expect(flights.slice(0, border).every(({ tsi }) => tsi === 1000)).toBe(true);
    expect(flights.slice(border).every(({ tsi }) => tsi === 2000)).toBe(true);
    expect(flights.slice(border).map(({ sn }) => sn)).toEqual(flights.slice(border).map((_, i) => i + 1));
    expect(tois(flights.slice(0, border))).toContain(6);
    expect(tois(flights.slice(border))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(air.machine.tsi).toBe(2000);
    const done = air.events.filter(({ type }) => type === 'pass-done');
    expect(done).toHaveLength(2);
  });

  it('begins at once when nothing is on air', () => {
    const air = new Air();
    air.heartbeat();
    expect(air.run().every(({ tsi }) => tsi === 1000)).toBe(true);
    air.machine.roll(2000);
    expect(air.machine.tsi).toBe(2000);
    air.heartbeat();
    const flights = air.run();
    expect(flights.every(({ tsi }) => tsi === 2000)).toBe(true);
    expect(flights.map(({ sn }) => sn)).toEqual(flights.map((_, i) => i + 1));
    const session = air.keys[0]!.session(2000);
    for (const { bytes } of flights) expect(session.verify(bytes, TAG_OFFSET)).toBe(true);
  });
});
