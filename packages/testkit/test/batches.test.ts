import { createCodec } from '@sluice/fec';
import type { Authenticator, TagAlgorithm, Verdict } from '@sluice/ports';
import { DEFAULT_LIMITS, receiveArenaBytes, type ReceiveEvent, ReceiveMachine } from '@sluice/transfer';
import { openTagAccelerator, sha256, type TagAccelerator } from '@sluice/trust';
import { Arena } from '@sluice/wasm';
import { describe, expect, it } from 'vitest';
import { CLEAN, type LinkFaults, MemorySpool, Pair, type PairOptions, Random, testKeys } from '../src/index.ts';

const LIMITS = { ...DEFAULT_LIMITS, blockBytes: 4 * 2 ** 20 };
const BATCH_BYTES = 2 ** 20;
const { accelerate } = await openTagAccelerator('auto');
const ALGORITHMS: readonly TagAlgorithm[] = ['HMAC-SHA-256-128', 'AES-256-GMAC'];
/** How many tags were checked together and held, did not hold together, and were computed one by one. */
const checked = { held: 0, broken: 0, alone: 0 };

/** The accelerator of this machine, counted. */
const counted: TagAccelerator = (reference, algorithm, key) => {
  const fast = accelerate?.(reference, algorithm, key) ?? reference;
  const together = fast.together && {
    mask: fast.together.mask.bind(fast.together),
    isZero: (...where: Parameters<NonNullable<Authenticator['together']>['isZero']>): boolean => {
      const holds = fast.together?.isZero(...where) === true;
      checked[holds ? 'held' : 'broken'] += 1;
      return holds;
    },
  };
  return {
    sign: fast.sign.bind(fast),
    verify: fast.verify.bind(fast),
    tags: (bytes, jobs, count) => {
      checked.alone += count;
      fast.tags(bytes, jobs, count);
    },
    together,
  };
};

/** A receiver whose batches lie in an arena and go to the kernel. */
class Batched {
  readonly spool = new MemorySpool();
  readonly events: ReceiveEvent[] = [];
  readonly verdicts: Verdict[] = [];
  readonly machine: ReceiveMachine;
  readonly #arena = Arena.create(receiveArenaBytes(LIMITS) + BATCH_BYTES);
  readonly #at: number;

  constructor(channels: readonly string[], algorithm?: TagAlgorithm) {
    const onEvent = (event: ReceiveEvent): void => void this.events.push(event);
    const keys = testKeys(channels, counted, algorithm);
    const parts = { keys, codec: createCodec(), sha256, spool: this.spool, onEvent, arena: this.#arena };
    this.machine = new ReceiveMachine(parts, LIMITS, 0);
    this.#at = this.#arena.take(BATCH_BYTES);
  }

  /** Datagrams of one size that follow each other go in as one run, as the kernel would merge them. */
  receive(datagrams: readonly Uint8Array[], now: number): void {
    const runs: number[] = [];
    let at = this.#at;
    datagrams.forEach((datagram, i) => {
      this.#arena.bytes.set(datagram, at);
      const last = runs.length - 3;
      if (i > 0 && runs[last + 2] === datagram.length) runs[last + 1] = (runs[last + 1] ?? 0) + datagram.length;
      else runs.push(at, datagram.length, datagram.length);
      at += datagram.length;
    });
    this.machine.runs?.set(runs);
    const count = this.machine.receiveRuns(runs.length / 3, now, ({ verdicts, bytes, offsets, lengths }) => {
      this.verdicts.push(...verdicts);
      // Tags are put back: what is tapped is what came.
      datagrams.forEach((datagram, i) => {
        const offset = offsets[i] ?? 0;
        expect(Buffer.compare(bytes.subarray(offset, offset + (lengths[i] ?? 0)), datagram)).toBe(0);
      });
    });
    expect(count).toBe(datagrams.length);
  }
}

/** What two receivers made of the same datagrams, in the same order. */
function both(options: PairOptions, drive: (pair: Pair) => void) {
  const pair = new Pair({ ...options, limits: LIMITS });
  const batched = new Batched(['prod', 'lab'], options.algorithm);
  const random = new Random(options.seed + 1);
  const events: ReceiveEvent[] = [];
  const reference = new ReceiveMachine(
    {
      keys: testKeys(['prod', 'lab'], undefined, options.algorithm),
      codec: createCodec(),
      sha256,
      spool: pair.spool,
      onEvent: (event) => void events.push(event),
    },
    LIMITS,
    0,
  );
  const verdicts: Verdict[] = [];
  let waiting: Uint8Array[] = [];
  const flush = (now: number): void => {
    for (const datagram of waiting) verdicts.push(reference.receive(datagram, 0, datagram.length, now));
    if (waiting.length > 0) batched.receive(waiting, now);
    waiting = [];
    reference.tick(now);
    batched.machine.tick(now);
  };
  pair.onArrival = (datagram, now) => {
    waiting.push(datagram.slice());
    if (random.chance(0.01)) flush(now);
  };
  drive(pair);
  flush(pair.now);
  return { pair, batched, reference, verdicts, events };
}

function compare({ pair, batched, reference, verdicts, events }: ReturnType<typeof both>): void {
  expect(batched.verdicts).toEqual(verdicts);
  expect(Object.fromEntries(batched.machine.counters.verdicts)).toEqual(
    Object.fromEntries(reference.counters.verdicts),
  );
  expect({ ...batched.machine.counters, verdicts: 0 }).toEqual({ ...reference.counters, verdicts: 0 });
  expect(batched.machine.lost).toBe(reference.lost);
  expect(batched.machine.blockBytes).toBe(reference.blockBytes);
  expect(batched.events).toEqual(events);
  expect([...batched.spool.objects.keys()]).toEqual([...pair.spool.objects.keys()]);
  for (const [key, { bytes, stored }] of pair.spool.objects) {
    expect(Buffer.compare(batched.spool.objects.get(key)?.bytes ?? new Uint8Array(), bytes)).toBe(0);
    expect(batched.spool.objects.get(key)?.stored).toEqual(stored);
  }
}

const ROUGH: LinkFaults = {
  ...CLEAN,
  loss: 0.05,
  duplicate: 0.03,
  reorder: 0.05,
  reorderDistance: 400,
  corrupt: 0.005,
  truncate: 0.005,
};
const SIZES = [1, 1408, 1409, 300_000, 2_000_000];

describe('batches through the kernel', () => {
  it.each(ALGORITHMS)(
    '%s: have the verdicts, events, bytes and counters of datagrams judged one by one',
    (algorithm) => {
      Object.assign(checked, { held: 0, broken: 0, alone: 0 });
      for (let seed = 1; seed <= 8; seed += 1) {
        // With fewer corrupted, more groups hold together.
        const faults = seed % 4 < 2 ? ROUGH : { ...ROUGH, corrupt: 0.001, truncate: 0.001 };
        const result = both({ seed, faults, algorithm, ...(seed % 2 === 0 ? { outageMs: 0 } : {}) }, (pair) => {
          pair.sender.submit(pair.order(SIZES));
          pair.run();
          const again = pair.order(SIZES.slice(3), 1, seed % 2);
          pair.sender.submit(again);
          const beat = pair.object(40);
          pair.sender.heartbeat(
            1,
            { ...beat, contentType: 'application/vnd.sluice.heartbeat+json' },
            pair.bytesOf(beat.digest),
          );
          pair.run();
          if (seed % 3 === 0) {
            pair.restartSender(2000 + seed);
            pair.sender.submit(again);
            pair.run();
          }
        });
        expect(result.verdicts.length).toBeGreaterThan(1000);
        compare(result);
      }
      const isTogether = algorithm === 'AES-256-GMAC' && accelerate !== undefined;
      expect(checked.held > 10).toBe(isTogether);
      expect(checked.broken > 10).toBe(isTogether);
      expect(checked.alone).toBeGreaterThan(1000);
    },
  );

  it('judge nearly all datagrams of a pass without the host', () => {
    const batched = new Batched(['prod', 'lab']);
    const pair = new Pair({ seed: 5, faults: CLEAN, groupBytes: 2 ** 20 });
    let alone = 0;
    const receive = batched.machine.receive.bind(batched.machine);
    batched.machine.receive = (...args) => {
      alone += 1;
      return receive(...args);
    };
    let waiting: Uint8Array[] = [];
    pair.onArrival = (datagram, now) => {
      waiting.push(datagram.slice());
      if (waiting.length === 100) batched.receive(waiting.splice(0), now);
    };
    pair.sender.submit(pair.order([8_000_000]));
    pair.run();
    batched.receive(waiting, pair.now);
    waiting = [];
    expect(batched.events.filter(({ type }) => type === 'object-whole')).toHaveLength(2);
    expect(alone).toBeLessThan(batched.verdicts.length / 10);
  });
});
