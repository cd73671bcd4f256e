// Gathering and recovering over a link that loses, repeats and reorders, among strangers (docs/PROTOCOL.md F-5).
import { readEsi, readSbn, readToi } from '@sluice/alc';
import { blockBytes, blockLength, blockOffset, makeProfile, type Partition, partition } from '@sluice/fec';
import type { PassOrder, SendObject } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { CLEAN, type LinkFaults, Pair, Random } from '../../testkit/src/index.ts';
import { Bench, E, HEARTBEAT, SECOND, WAYS, type Way } from './bench.ts';

/** A datagram on its way, with what the test knows of it. */
interface Carried {
  readonly bytes: Uint8Array;
  readonly object: SendObject | undefined;
}

/** The distinct symbols of each block that the receiver was given in time, as `digest/sbn`. */
type Given = Map<string, Set<number>>;

const SYMBOL = 64;
const PROFILE = makeProfile({ name: 'small', maxBlock: 24, repair: 5 });
const shapeOf = ({ size }: SendObject): Partition => partition(size, SYMBOL, PROFILE.maxBlock);

/** A sender at one end, the bench's receiver at the other, and between them a link in the test's hands. */
class World {
  readonly random: Random;
  readonly bench: Bench;
  readonly given: Given = new Map();
  readonly #pair: Pair;
  #tsi = 1000;
  /** Datagrams that were delivered, to be delivered again much later. */
  readonly #old: Uint8Array[] = [];

  constructor(seed: number, way: Way) {
    this.random = new Random(seed);
    this.#pair = new Pair({
      seed,
      faults: CLEAN,
      symbolBytes: SYMBOL,
      profile: PROFILE,
      rate: 1e8,
      groupBytes: 2 ** 16,
      limits: { blockBytes: 2 ** 16 },
    });
    this.bench = new Bench({ way, seed });
  }

  order(sizes: readonly number[]): PassOrder {
    return this.#pair.order(sizes);
  }

  newSession(): void {
    this.#tsi += 1 + this.random.below(50);
    this.#pair.restartSender(this.#tsi);
  }

  bytesOf({ digest }: SendObject): Uint8Array {
    return this.#pair.bytesOf(digest);
  }

  /** Sends a pass; of its symbols `loss` are lost. FDT Instances come through, late or twice perhaps. */
  pass(order: PassOrder, pass: number, loss: number): void {
    // TOIs as the sender gives them: statements twice, objects, statements.
    const base = this.#pair.sender.counters.datagrams === 0 ? 0 : this.#tois;
    const sent = [...order.statements, ...order.statements, ...order.objects, ...order.statements];
    const carried: Carried[] = [];
    this.#pair.sender.submit({ ...order, pass });
    this.#pair.run((bytes) => {
      const toi = readToi(bytes, 0);
      const object = toi === 0 ? undefined : sent[toi - 1 - base];
      if (object !== undefined && this.random.chance(loss)) return;
      carried.push({ bytes: bytes.slice(), object });
    });
    this.#tois = base + sent.length;
    for (const { bytes, object } of this.#shuffled(carried)) this.#deliver(bytes, object);
    this.#pair.now += 10 * SECOND;
    this.bench.now += 10 * SECOND;
    this.bench.machine.tick(this.bench.now);
  }

  #tois = 0;

  /** Some later by up to 300 places, some twice. */
  #shuffled(carried: readonly Carried[]): Carried[] {
    const { random } = this;
    const placed = carried.flatMap((each, i) => {
      const at = i + (random.chance(0.2) ? random.below(300) : 0);
      return random.chance(0.05)
        ? [
            { at, each },
            { at: i + random.below(500), each },
          ]
        : [{ at, each }];
    });
    return placed.sort((a, b) => a.at - b.at).map(({ each }) => each);
  }

  #deliver(bytes: Uint8Array, object: SendObject | undefined): void {
    const { random, bench } = this;
    bench.send(bytes);
    if (object !== undefined) {
      const name = `${object.digest}/${readSbn(bytes, 0)}`;
      this.given.set(name, (this.given.get(name) ?? new Set()).add(readEsi(bytes, 0)));
    }
    if (random.chance(0.1)) this.#old.push(bytes);
    if (random.chance(0.05)) bench.send(this.#foreign(bytes));
  }

  /** What does not belong: noise, forgeries, replays of this session and of sessions that closed. */
  #foreign(bytes: Uint8Array): Uint8Array {
    const { random } = this;
    const old = this.#old[random.below(this.#old.length)];
    const kind = random.below(4);
    if (kind === 0) return random.bytes(random.below(200));
    if (kind === 1 && old !== undefined) return old;
    const forged = bytes.slice();
    forged[random.below(forged.length)]! ^= 1 << random.below(8);
    return kind === 2 ? forged : bytes.subarray(0, random.below(bytes.length));
  }

  /** Sentences about blocks that are not in the spool as they must be; how many blocks are there. */
  judge(objects: readonly SendObject[]): {
    readonly faults: string[];
    readonly stored: number;
    readonly blocks: number;
  } {
    const faults: string[] = [];
    let [stored, blocks] = [0, 0];
    for (const object of objects) {
      const shape = shapeOf(object);
      const found = [...this.bench.spool.objects.values()].find(({ info }) => info.digest === object.digest);
      const bytes = this.bytesOf(object);
      for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
        const enough = (this.given.get(`${object.digest}/${sbn}`)?.size ?? 0) >= blockLength(shape, sbn);
        const is = ((found?.stored[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) !== 0;
        const [from, to] = [blockOffset(shape, sbn), blockOffset(shape, sbn) + blockBytes(shape, sbn)];
        const want = enough ? bytes.subarray(from, to) : new Uint8Array(to - from);
        const got = found?.bytes.subarray(from, to) ?? new Uint8Array(to - from);
        if (is !== enough || Buffer.compare(got, want) !== 0) faults.push(`block ${sbn} of ${object.size} bytes`);
        blocks += 1;
        if (is) stored += 1;
      }
    }
    return { faults, stored, blocks };
  }
}

describe.each(WAYS)('a rough link, %s,', (way) => {
  it('costs just the blocks of which fewer than k symbols came; later passes and sessions bring those: 16 seeds', () => {
    let [partial, sessions] = [0, 0];
    for (let seed = 1; seed <= 16; seed += 1) {
      const world = new World(seed, way);
      const sizes = Array.from({ length: 1 + world.random.below(5) }, () => 1 + world.random.below(6000));
      const order = world.order(sizes);
      const objects = [...order.statements, ...order.objects];
      for (let pass = 0; ; pass += 1) {
        world.pass(order, pass, pass > 6 ? 0 : 0.1 + world.random.unit() * 0.5);
        const { faults, stored, blocks } = world.judge(objects);
        expect(faults, `seed ${seed}, pass ${pass}`).toEqual([]);
        if (stored > 0 && stored < blocks) partial += 1;
        if (stored === blocks) break;
        expect(pass, `seed ${seed}`).toBeLessThan(8);
        if (world.random.chance(0.4)) {
          world.newSession();
          sessions += 1;
        }
      }
      const whole = world.bench.eventsOf('object-whole').map(({ info }) => info.digest);
      expect(whole.toSorted()).toEqual([...new Set(objects.map(({ digest }) => digest))].sort());
      expect(world.bench.machine.blockBytes).toBe(0);
    }
    expect(partial).toBeGreaterThan(10);
    expect(sessions).toBeGreaterThan(3);
  });
});

describe('a whole link with faults of its own', () => {
  const faults: LinkFaults = {
    ...CLEAN,
    ...{ loss: 0.04, duplicate: 0.03, reorder: 0.05, reorderDistance: 600, corrupt: 0.01, truncate: 0.01 },
  };

  it('delivers in one pass with the default repair, FDT Instances at risk as well: 20 seeds', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const pair = new Pair({ seed, faults, limits: { blockBytes: 2 ** 22 }, groupBytes: 2 ** 21 });
      const order = pair.order([1, 5000, 70_000, 400_000]);
      pair.sender.submit(order);
      pair.run();
      expect(pair.arrived(order), `seed ${seed}`).toBe(true);
      expect(pair.receiver.blockBytes).toBe(0);
    }
  });
});

describe.each(WAYS)('symbols that come before their FDT Instance, %s,', (way) => {
  it('wait, and fill their blocks when it comes', () => {
    const bench = new Bench({ way });
    const object = bench.object(4000);
    expect(new Set(bench.sendAll(bench.symbols(object)))).toEqual(new Set(['accepted']));
    expect(bench.eventsOf('object')).toEqual([]);
    bench.announce([object]);
    expect(bench.arrived(object)).toBe(true);
  });

  it('push out those of the TOI that waits longest, all of it, when there are too many', () => {
    const bench = new Bench({ way, limits: { unknownToiBytes: 20 * E } });
    const [first, second, third] = [bench.object(8 * E), bench.object(8 * E), bench.object(8 * E)];
    bench.sendAll([...bench.symbols(first), ...bench.symbols(second)]);
    const verdicts = bench.sendAll(bench.symbols(third));
    expect(verdicts.filter((verdict) => verdict === 'unknown-toi-overflow')).toHaveLength(1);
    expect(bench.machine.counters.unknownToiDropped).toBe(8);
    bench.announce([first, second, third]);
    expect([first, second, third].map((object) => bench.arrived(object))).toEqual([false, true, true]);
    bench.sendAll(bench.symbols(first));
    expect(bench.arrived(first)).toBe(true);
  });

  it('never take more than unknownToiBytes, whatever comes', () => {
    const bench = new Bench({ way, limits: { unknownToiBytes: 50 * E } });
    const random = new Random(3);
    let sent = 0;
    for (; sent < 2000; sent += 1)
      bench.send(bench.datagram(1 + random.below(300), 0, random.below(255), new Uint8Array(E)));
    const kept = sent - bench.machine.counters.unknownToiDropped;
    expect(kept).toBeLessThanOrEqual(50);
    expect(kept).toBeGreaterThan(0);
  });
});

describe.each(WAYS)('FDT Instances, %s,', (way) => {
  it('are put together from any k of their symbols, in any order, over several blocks', () => {
    const bench = new Bench({ way });
    const objects = Array.from({ length: 40 }, () => bench.object(10));
    const datagrams = bench.fdt(bench.document(objects), { maxBlock: 60 });
    expect(datagrams.length).toBeGreaterThan(120);
    const verdicts = bench.sendAll(datagrams.toReversed());
    expect(new Set(verdicts)).toEqual(new Set(['accepted']));
    expect(bench.eventsOf('object')).toHaveLength(40);
  });

  it('are read once: what comes again under the same id is surplus', () => {
    const bench = new Bench({ way });
    const document = bench.document([bench.object(10)]);
    bench.sendAll(bench.fdt(document, { instanceId: 5 }));
    expect(new Set(bench.sendAll(bench.fdt(document, { instanceId: 5 })))).toEqual(new Set(['surplus']));
  });

  it('that are refused stay refused under their id, and the next one is read', () => {
    const bench = new Bench({ way });
    const bad = new TextEncoder().encode('<nothing of ours/>');
    expect(bench.sendAll(bench.fdt(bad, { instanceId: 5 }))).toEqual(['fdt-malformed']);
    expect(bench.sendAll(bench.fdt(bad, { instanceId: 5 }))).toEqual(['surplus']);
    expect(bench.announce([bench.object(10)], { instanceId: 6 })).toBe('accepted');
  });

  it('that were begun and never came to an end are forgotten, oldest first, beyond fdtInstances', () => {
    const bench = new Bench({ way, limits: { fdtInstances: 3 } });
    const begun = Array.from({ length: 4 }, () => {
      const object = bench.object(10);
      return { object, datagrams: bench.fdt(bench.document([object])) };
    });
    for (const { datagrams } of begun) bench.send(datagrams[0]!);
    for (const { datagrams } of begun.toReversed()) bench.sendAll(datagrams.slice(1));
    const named = bench.eventsOf('object').map(({ info }) => info.digest);
    expect(named).toEqual(
      begun
        .slice(1)
        .map(({ object }) => object.digest)
        .toReversed(),
    );
  });

  it('name a TOI once: a later one cannot give it another meaning', () => {
    const bench = new Bench({ way });
    const object = bench.object(500);
    bench.announce([object]);
    bench.announce([{ ...bench.object(700), toi: object.toi }]);
    bench.sendAll(bench.symbols(object));
    expect(bench.arrived(object)).toBe(true);
    expect(bench.eventsOf('object')).toHaveLength(1);
  });

  it('name no more TOIs than are remembered: the oldest is forgotten', () => {
    const bench = new Bench({ way, limits: { tois: 3 } });
    const objects = Array.from({ length: 4 }, () => bench.object(3 * E));
    for (const object of objects) bench.announce([object]);
    for (const object of objects) bench.sendAll(bench.symbols(object));
    expect(objects.map((object) => bench.arrived(object))).toEqual([false, true, true, true]);
    // Its symbols wait for a name now.
    const again = { ...objects[0]!, toi: bench.nextToi() };
    bench.announce([again]);
    bench.sendAll(bench.symbols(again));
    expect(bench.arrived(again)).toBe(true);
  });

  it('are remembered for 128 FDT Instances, or while their object is not whole; heartbeats push out none of them', () => {
    const bench = new Bench({ way, limits: { tois: 100_000 } });
    const names = (): number[] =>
      [...bench.machine.handover()].flatMap((item) => (item.type === 'name' ? [item.toi] : []));
    const beat = (): void => {
      const heartbeat = bench.object(20, { contentType: HEARTBEAT });
      bench.announce([heartbeat]);
      bench.sendAll(bench.block(heartbeat, 0, [0]));
    };
    const [whole, open, last] = [bench.object(3 * E), bench.object(3 * E), bench.object(E)];
    const again = (count: number): void => {
      for (let i = 0; i < count; i += 1) bench.announce([{ ...last, toi: bench.nextToi() }]);
    };
    bench.announce([whole, open]);
    bench.sendAll([...bench.symbols(whole), ...bench.block(open, 0, [0])]);
    bench.announce([last]);
    bench.sendAll(bench.symbols(last));
    for (let i = 0; i < 200; i += 1) beat();
    expect(bench.eventsOf('heartbeat')).toHaveLength(200);
    again(126);
    expect(names()).toHaveLength(2 + 127);
    again(200);
    expect(names()).not.toContain(whole.toi);
    expect(names()).toContain(open.toi);
    bench.sendAll(bench.block(open, 0, [1, 2]));
    expect(bench.arrived(open)).toBe(true);
    again(130);
    expect(names()).not.toContain(open.toi);
    expect(names()).toHaveLength(128);
  });
});
