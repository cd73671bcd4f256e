// Sessions and channels on the receiving side (docs/PROTOCOL.md S-1 to S-4, A-2).
import { makeTsi } from '@sluice/alc';
import { createCodec } from '@sluice/fec';
import { DEFAULT_LIMITS, spoolKey } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { CLEAN, digestOf, Pair, testKeys } from '../../testkit/src/index.ts';
import { ChannelState } from '../src/receive/session.ts';
import { Bench, E, HEARTBEAT, NTP, SECOND, TSI, WAYS } from './bench.ts';

const LINGER = 5 * SECOND;
const one = (bench: Bench, tsi: number) => bench.send(bench.datagram(9, 0, 0, new Uint8Array(E), { tsi }));

describe.each(WAYS)('a live session, %s,', (way) => {
  it('that is newer replaces the one before, which stays open for five seconds', () => {
    const bench = new Bench({ way });
    expect(one(bench, TSI)).toBe('accepted');
    bench.now += SECOND;
    expect(one(bench, TSI + 1)).toBe('accepted');
    expect(bench.machine.highestLive).toBe(TSI + 1);
    bench.machine.tick(bench.now + LINGER - 1);
    expect(one(bench, TSI)).toBe('accepted');
    expect(one(bench, TSI + 1)).toBe('accepted');
    bench.machine.tick(bench.now + LINGER);
    expect(one(bench, TSI)).toBe('old-session');
    expect(one(bench, TSI + 1)).toBe('accepted');
    expect(bench.eventsOf('session').map(({ tsi }) => tsi)).toEqual([TSI, TSI + 1]);
    expect(bench.eventsOf('epoch-went-back')).toEqual([{ type: 'epoch-went-back', tsi: TSI, highest: TSI + 1 }]);
  });

  it('is not kept open by datagrams, nor by a third session', () => {
    const bench = new Bench({ way });
    one(bench, TSI);
    one(bench, TSI + 1);
    const replaced = bench.now;
    bench.now += 3 * SECOND;
    expect(one(bench, TSI)).toBe('accepted');
    one(bench, TSI + 2);
    bench.machine.tick(replaced + LINGER);
    expect(one(bench, TSI)).toBe('old-session');
    // The second was replaced later.
    expect(one(bench, TSI + 1)).toBe('accepted');
    bench.machine.tick(bench.now + LINGER);
    expect(one(bench, TSI + 1)).toBe('old-session');
    expect(one(bench, TSI + 2)).toBe('accepted');
  });

  it('ends what was half gathered only by name: its symbols fill the same holes in the next session', () => {
    const bench = new Bench({ way });
    const object = bench.object(2000);
    bench.announce([object]);
    const symbols = bench.symbols(object);
    bench.sendAll(symbols.slice(0, 7));
    const again = { ...object, toi: bench.nextToi() };
    bench.announce([again], { tsi: TSI + 1 });
    bench.sendAll(bench.symbols(again, { tsi: TSI + 1 }).slice(7));
    expect(bench.arrived(object)).toBe(true);
    expect(bench.eventsOf('object')).toHaveLength(1);
  });

  it('older than the highest ever accepted is refused after a restart too, and the highest itself is not', () => {
    const bench = new Bench({ way, highest: TSI });
    expect(bench.machine.highestLive).toBe(TSI);
    expect(one(bench, TSI - 1)).toBe('old-session');
    expect(one(bench, TSI)).toBe('accepted');
    expect(one(bench, makeTsi('live', 2 ** 30 - 1))).toBe('accepted');
    expect(one(bench, TSI + 1)).toBe('old-session');
  });

  it('has meanings of its own for TOIs and FDT Instance IDs', () => {
    const bench = new Bench({ way });
    const [first, second] = [bench.object(300), { ...bench.object(400), toi: 1 }];
    bench.announce([first], { instanceId: 1 });
    bench.announce([second], { instanceId: 1, tsi: TSI + 1 });
    bench.sendAll(bench.symbols(first));
    bench.sendAll(bench.symbols(second, { tsi: TSI + 1 }));
    expect([bench.arrived(first), bench.arrived(second)]).toEqual([true, true]);
  });
});

describe.each(WAYS)('a media or repair session, %s,', (way) => {
  const side = (i: number): number => makeTsi(i % 2 === 0 ? 'media' : 'repair', 100 + i);

  it('neither ends nor replaces a live one, nor is it ended by one', () => {
    const bench = new Bench({ way });
    one(bench, TSI);
    one(bench, side(0));
    one(bench, side(1));
    bench.machine.tick(bench.now + 60 * SECOND);
    expect(bench.machine.highestLive).toBe(TSI);
    expect(one(bench, TSI)).toBe('accepted');
    one(bench, TSI + 1);
    bench.machine.tick(bench.now + 60 * SECOND);
    expect([one(bench, side(0)), one(bench, side(1))]).toEqual(['accepted', 'accepted']);
    expect(bench.eventsOf('session')).toHaveLength(4);
  });

  it('is open beside three others at most: the one heard of longest ago is closed', () => {
    const bench = new Bench({ way });
    one(bench, TSI);
    for (const i of [0, 1, 2, 3]) {
      bench.now += SECOND;
      one(bench, side(i));
    }
    bench.now += SECOND;
    one(bench, side(0));
    const opened = bench.eventsOf('session').length;
    bench.now += SECOND;
    one(bench, side(4));
    for (const i of [0, 2, 3, 4]) one(bench, side(i));
    expect(bench.eventsOf('session')).toHaveLength(opened + 1);
    // 1 was closed; it comes in again in place of 0, which was heard of before the others.
    one(bench, side(1));
    expect(bench.eventsOf('session')).toHaveLength(opened + 2);
    expect(one(bench, TSI)).toBe('accepted');
    expect(bench.eventsOf('session')).toHaveLength(opened + 2);
  });

  it('may be of any epoch, older ones after newer ones', () => {
    const bench = new Bench({ way, highest: 2 ** 29 });
    for (const epoch of [500, 3, 2 ** 30 - 1, 4]) expect(one(bench, makeTsi('media', epoch))).toBe('accepted');
    expect(bench.eventsOf('epoch-went-back')).toEqual([]);
    expect(bench.machine.highestLive).toBe(2 ** 29);
  });

  it('brings symbols to the objects of live ones', () => {
    const bench = new Bench({ way });
    const object = bench.object(5000);
    bench.announce([object]);
    bench.sendAll(bench.symbols(object).filter((_, i) => i % 3 !== 0));
    bench.announce([object], { tsi: side(0) });
    bench.sendAll(bench.symbols(object, { tsi: side(0) }).filter((_, i) => i % 3 === 0));
    expect(bench.arrived(object)).toBe(true);
  });
});

describe.each(WAYS)('channels, %s,', (way) => {
  it('share sequence numbers and nothing else: not TOIs, FDT Instances, objects', () => {
    const bench = new Bench({ way });
    const object = bench.object(1500);
    const other = { ...bench.object(2500), toi: object.toi };
    expect(bench.announce([object], { instanceId: 1 })).toBe('accepted');
    expect(bench.announce([other], { instanceId: 1, asid: 1 })).toBe('accepted');
    const [a, b] = [bench.symbols(object), bench.symbols(other, { asid: 1 })];
    for (let i = 0; i < b.length; i += 1) bench.sendAll([a[i], b[i]].filter((each) => each !== undefined));
    expect(bench.eventsOf('object-whole').map(({ info }) => [info.channel, info.digest])).toEqual([
      ['prod', object.digest],
      ['lab', other.digest],
    ]);
  });

  it('cannot fill or spoil each other’s objects, even under one digest', () => {
    const bench = new Bench({ way });
    const object = bench.object(1500);
    bench.announce([object]);
    bench.sendAll(bench.symbols(object).slice(0, 5));
    bench.announce([object], { asid: 1 });
    const lies = { ...object, bytes: bench.random.bytes(1500) };
    bench.sendAll(bench.symbols(lies, { asid: 1 }).slice(5));
    expect(bench.eventsOf('object-whole')).toEqual([]);
    bench.sendAll(bench.symbols(object).slice(5));
    expect(bench.eventsOf('object-whole').map(({ info }) => info.channel)).toEqual(['prod']);
  });

  it('do not see each other’s waiting symbols', () => {
    const bench = new Bench({ way });
    const object = bench.object(600);
    bench.sendAll(bench.symbols(object, { asid: 1 }));
    bench.announce([object]);
    expect(bench.eventsOf('object-whole')).toEqual([]);
    bench.announce([object], { asid: 1 });
    expect(bench.eventsOf('object-whole').map(({ info }) => info.channel)).toEqual(['lab']);
  });
});

describe.each(WAYS)('a heartbeat, %s,', (way) => {
  const beatOf = (bench: Bench) => bench.object(33, { contentType: HEARTBEAT });

  it.each([0, 1, 3, 200])('is told of once, with channel, session and sender time, from ESI %i alone', (esi) => {
    const bench = new Bench({ way });
    const beat = beatOf(bench);
    bench.announce([beat], { asid: 1, ntpSeconds: NTP + 7 });
    const [symbol, again] = bench.block(beat, 0, [esi, (esi + 1) % 255], { asid: 1 });
    expect([bench.send(symbol!), bench.send(again!)]).toEqual(['accepted', 'surplus']);
    const wanted = { asid: 1, channel: 'lab', tsi: TSI, senderNtp: NTP + 7, body: beat.bytes };
    expect(bench.eventsOf('heartbeat')).toEqual([{ type: 'heartbeat', ...wanted }]);
    expect(bench.spool.objects.size).toBe(0);
  });

  it('whose digest does not hold, or that is longer than a symbol, is none', () => {
    const bench = new Bench({ way });
    const [beat, long] = [beatOf(bench), bench.object(E + 1, { contentType: HEARTBEAT })];
    bench.announce([beat, long]);
    const lies = { ...beat, bytes: bench.random.bytes(33) };
    expect(bench.sendAll(bench.block(lies, 0))).toEqual(['surplus']);
    expect(bench.sendAll(bench.symbols(long))).toEqual(['surplus', 'surplus']);
    expect(bench.eventsOf('heartbeat')).toEqual([]);
    bench.sendAll(bench.block(beat, 0));
    expect(bench.eventsOf('heartbeat')).toHaveLength(1);
  });
});

describe('a sender that rolls in the middle of a pass', () => {
  it('loses nothing of it, and raises no alarm, however long the pass goes on', () => {
    const pair = new Pair({ seed: 1, faults: CLEAN, rate: 2e6 });
    const order = pair.order([3_000_000]);
    pair.sender.submit(order);
    pair.sender.submit(pair.order([10_000]));
    let beats = 0;
    pair.run((_datagram, at) => {
      if (at < (beats + 2) * SECOND) return;
      beats += 1;
      if (beats === 3) pair.sender.roll(2000);
      const body = new TextEncoder().encode(`{"v":1,"seconds":${beats}}`);
      pair.sender.heartbeat(0, { digest: digestOf(body), size: body.length, contentType: HEARTBEAT }, body);
    });
    expect(beats).toBeGreaterThan(12);
    expect(pair.arrived(order)).toBe(true);
    expect(pair.heartbeats).toHaveLength(beats);
    expect(pair.receiver.highestLive).toBe(2000);
    expect(pair.receiver.counters.verdicts.get('old-session')).toBeUndefined();
    expect(pair.receiver.lost).toBe(0);
  });
});

describe('an object that was forgotten', () => {
  it.each(WAYS)('is asked of the spool anew, %s', (way) => {
    const bench = new Bench({ way });
    const object = bench.object(3 * 640);
    bench.announce([object]);
    bench.sendAll(bench.block(object, 0));
    bench.sendAll(bench.block(object, 1, [0, 1, 2]));
    const key = spoolKey(bench.info(object));
    bench.machine.forget('prod', key);
    expect(bench.machine.blockBytes).toBe(0);
    // The first block is in the spool; of the second all is asked again.
    bench.sendAll(bench.block(object, 1, [3, 4, 5, 6, 7, 8, 9]));
    expect([...[...bench.machine.objects()][0]!.missing()]).toEqual([
      { sbn: 1, needs: 3 },
      { sbn: 2, needs: 10 },
    ]);
    bench.sendAll([...bench.block(object, 1, [0, 1, 2]), ...bench.block(object, 2)]);
    expect(bench.arrived(object)).toBe(true);
    bench.machine.forget('prod', key);
    expect(bench.eventsOf('margin')).toHaveLength(1);
    bench.spool.complete.add(key);
    expect(bench.sendAll(bench.symbols(object))).toEqual(new Array(30).fill('surplus'));
  });

  it.each(WAYS)('is asked for anew by every TOI that it has, in each session, and no other object is, %s', (way) => {
    const bench = new Bench({ way });
    const [object, other] = [bench.object(640), bench.object(640)];
    bench.announce([object, other]);
    const again = { ...object, toi: bench.nextToi() };
    bench.announce([again]);
    const later = { ...object, toi: bench.nextToi() };
    bench.announce([later], { tsi: TSI + 1 });
    const key = spoolKey(bench.info(object));
    bench.machine.forget('lab', key);
    expect(bench.eventsOf('object')).toHaveLength(2);
    expect(bench.sendAll(bench.block(object, 0, [0]))).toEqual(['accepted']);
    bench.machine.forget('prod', key);
    bench.spool.complete.add(key);
    expect(bench.sendAll(bench.block(object, 0, [1]))).toEqual(['surplus']);
    expect(bench.sendAll(bench.block(again, 0, [2]))).toEqual(['surplus']);
    expect(bench.send(bench.symbols(later, { tsi: TSI + 1 })[3]!)).toBe('surplus');
    expect(bench.sendAll(bench.block(other, 0, [0]))).toEqual(['accepted']);
    // Complete, and of another channel than the one that is told to forget it: the spool is not asked.
    const complete = bench.object(640);
    bench.spool.complete.add(spoolKey(bench.info(complete)));
    bench.announce([complete]);
    bench.spool.complete.clear();
    bench.machine.forget('lab', spoolKey(bench.info(complete)));
    expect(bench.sendAll(bench.block(complete, 0, [0]))).toEqual(['surplus']);
  });

  it('is found by its key, among any number of TOIs, as long as one stands for it', () => {
    const bench = new Bench({});
    const channel = new ChannelState(testKeys(['prod'])[0]!, createCodec(), DEFAULT_LIMITS);
    const objects = Array.from({ length: 20 }, () => bench.info(bench.object(640)));
    const keyOf = (i: number): string => spoolKey(objects[i]!);
    for (const [i, info] of [...objects, ...objects].entries()) channel.name(i + 1, { type: 'complete', info }, 30);
    expect([...channel.toisOf(keyOf(0))]).toEqual([21]);
    expect([...channel.toisOf(keyOf(9))]).toEqual([30]);
    expect([...channel.toisOf(keyOf(10))]).toEqual([11, 31]);
    for (let toi = 100; toi < 120; toi += 1) channel.name(toi, { type: 'complete', info: objects[19]! }, 30);
    expect([...channel.toisOf(keyOf(0))]).toEqual([]);
    expect([...channel.toisOf(keyOf(19))]).toHaveLength(21);
  });
});
