import { readToi } from '@sluice/alc';
import { makeProfile, passEsis, PROFILES } from '@sluice/fec';
import { blockFailure, type PlanOptions, planTransfer } from '@sluice/transfer';
import { describe, expect, it } from 'vitest';
import { CLEAN, Pair } from '../src/index.ts';

const OPTIONS: PlanOptions = {
  size: 6_000_000,
  rate: 2e8,
  loss: 0.01,
  outageMs: 20,
  symbolBytes: 1408,
  profile: PROFILES.robust,
  groupBytes: 2 ** 24,
  passes: 2,
  topUps: 2,
  statementBytes: 3000,
  statementLeadMs: 250,
};

/** A block's place in the datagrams of one pass: object and number. */
const blockOf = (datagram: Uint8Array): string => datagram.subarray(12, 16).join() + datagram.subarray(40, 43).join();

/** What the real machine sends of one object: datagrams with their times, blobs apart. */
function sent(options: PlanOptions) {
  const pair = new Pair({ seed: 1, faults: CLEAN, ...options });
  const order = pair.order([options.size]);
  pair.sender.submit(order);
  const blobs: { at: number; block: string }[] = [];
  let [datagrams, first, last] = [0, Infinity, 0];
  pair.run((datagram, at) => {
    datagrams += 1;
    [first, last] = [Math.min(first, at), at];
    // TOI 1 is the statement, each time under another number; the blob's is the one with the most blocks.
    if (readToi(datagram, 0) !== 0) blobs.push({ at, block: blockOf(datagram) });
  });
  const counts = new Map<string, number>();
  for (const { block } of blobs)
    counts.set(block.split(',').slice(0, 4).join(), (counts.get(block.split(',').slice(0, 4).join()) ?? 0) + 1);
  const [main] = [...counts].toSorted((a, b) => b[1] - a[1]);
  const own = blobs.filter(({ block }) => block.split(',').slice(0, 4).join() === main?.[0]);
  return { datagrams, seconds: (last - first) / 1e9, blobs: own };
}

describe('a plan agrees with what the sending machine does', () => {
  it.each([
    ['a bundle of several groups', OPTIONS],
    ['one smaller than a group, which is stretched', { ...OPTIONS, size: 700_000 }],
    ['fast', { ...OPTIONS, profile: PROFILES.fast, rate: 1e9, outageMs: 5 }],
    ['no interleaving', { ...OPTIONS, outageMs: 0 }],
    [
      'another symbol and code',
      { ...OPTIONS, symbolBytes: 512, profile: makeProfile({ name: 'x', maxBlock: 100, repair: 30 }) },
    ],
  ])('datagrams, bytes and time of a pass: %s', (_, options) => {
    const plan = planTransfer(options);
    const real = sent(options);
    expect(plan.sourceSymbols + plan.repairSymbols).toBe(real.blobs.length);
    expect(plan.datagrams / real.datagrams).toBeGreaterThan(0.97);
    expect(plan.datagrams / real.datagrams).toBeLessThan(1.03);
    expect(plan.passSeconds / real.seconds).toBeGreaterThan(0.93);
    expect(plan.passSeconds / real.seconds).toBeLessThan(1.07);
  });

  it.each([
    ['several groups', OPTIONS],
    ['one that is stretched', { ...OPTIONS, size: 700_000 }],
    ['memory that ends the groups', { ...OPTIONS, size: 12_000_000, groupBytes: 2 ** 20 }],
  ])('an outage wherever it falls takes no more of a block than is said: %s', (_, options) => {
    const plan = planTransfer(options);
    const { blobs } = sent(options);
    let worst = 0;
    const begin = blobs[0]?.at ?? 0;
    const end = blobs.at(-1)?.at ?? 0;
    for (let from = begin; from < end; from += 1e6) {
      const taken = new Map<string, number>();
      for (const { at, block } of blobs)
        if (at >= from && at < from + options.outageMs * 1e6) taken.set(block, (taken.get(block) ?? 0) + 1);
      worst = Math.max(worst, ...taken.values());
    }
    expect(worst).toBeLessThanOrEqual(plan.lostToOutage);
    // And not much less: a plan that always says the worst would be worth nothing.
    expect(worst).toBeGreaterThan(0.7 * plan.lostToOutage);
    if (plan.outageSurvivedMs >= options.outageMs) expect(worst).toBeLessThanOrEqual(plan.m / 2);
  });

  it('memory: no more blocks are under way at once than the receiver is told to have room for', () => {
    const plan = planTransfer({ ...OPTIONS, size: 12_000_000 });
    const { blobs } = sent({ ...OPTIONS, size: 12_000_000 });
    const lastOf = new Map(blobs.map(({ block }, i) => [block, i]));
    const open = new Set<string>();
    let most = 0;
    for (const [i, { block }] of blobs.entries()) {
      open.add(block);
      most = Math.max(most, open.size);
      if (lastOf.get(block) === i) open.delete(block);
    }
    const room = plan.receiverBytes / ((plan.k + plan.m) * OPTIONS.symbolBytes);
    expect(most).toBeLessThanOrEqual(room);
    expect(most).toBeGreaterThanOrEqual(plan.groupBlocks);
  });
});

describe('the residual probability agrees with simulation by the real machines', () => {
  /** Blocks that are not whole after each pass over a link that loses; small symbols make many blocks cheap. */
  function lostBlocks(
    loss: number,
    passes: number,
    runs: number,
  ): { readonly blocks: number; readonly after: number[] } {
    const options = { ...OPTIONS, size: 64 * 200 * 30, symbolBytes: 64, rate: 1e9, outageMs: 1 };
    const after = new Array<number>(passes).fill(0);
    let blocks = 0;
    for (let seed = 1; seed <= runs; seed += 1) {
      const pair = new Pair({ seed, faults: { ...CLEAN, loss }, ...options });
      const order = pair.order([options.size]);
      const object = order.objects[0]?.digest;
      blocks += 30;
      for (let pass = 0; pass < passes; pass += 1) {
        pair.sender.submit({ ...order, pass });
        pair.run();
        const held = [...pair.spool.objects.values()].find(({ info }) => info.digest === object);
        const stored = [...(held?.stored ?? [])].reduce(
          (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
          0,
        );
        after[pass] = (after[pass] ?? 0) + 30 - stored;
      }
    }
    return { blocks, after };
  }

  it.each([
    [0.09, 1, 12],
    [0.35, 2, 8],
  ])('at %d loss over %d passes', (loss, passes, runs) => {
    const { residual } = planTransfer({ ...OPTIONS, size: 64 * 200 * 30, symbolBytes: 64, loss, passes, topUps: 0 });
    const { blocks, after } = lostBlocks(loss, passes, runs);
    for (const [pass, count] of after.entries()) {
      const { block = 0 } = residual[pass] ?? {};
      // Something between never and always, else nothing is compared; three deviations of the mean.
      const deviation = Math.sqrt((block * (1 - block)) / blocks);
      if (pass === passes - 1) expect(block).toBeGreaterThan(0.05);
      if (pass === passes - 1) expect(block).toBeLessThan(0.95);
      expect(Math.abs(count / blocks - block)).toBeLessThanOrEqual(3 * deviation + 1e-9);
    }
  });

  it('is exact where it can be counted by hand, and for what never happens in a simulation', () => {
    const two = [passEsis(0, 1, 1)];
    expect(blockFailure(1, two, 0.1)).toBeCloseTo(0.01, 15);
    expect(blockFailure(1, [passEsis(0, 1, 1), passEsis(1, 1, 1)], 0.1)).toBeCloseTo(1e-4, 15);
    expect(blockFailure(2, [passEsis(0, 2, 1)], 0.1)).toBeCloseTo(0.1 ** 3 + 3 * 0.9 * 0.1 ** 2, 15);
    expect(blockFailure(200, [passEsis(0, 200, 20)], 0)).toBe(0);
    expect(blockFailure(200, [passEsis(0, 200, 20)], 0.01, 21)).toBeCloseTo(1, 12);
    // The tail of the binomial, to 12 digits: 3.5e-15 is not lost in rounding.
    let tail = 0;
    for (let lost = 21; lost <= 220; lost += 1) {
      let term = 1;
      for (let i = 0; i < lost; i += 1) term *= ((220 - i) / (lost - i)) * 0.01;
      tail += term * 0.99 ** (220 - lost);
    }
    expect(blockFailure(200, [passEsis(0, 200, 20)], 0.01) / tail).toBeCloseTo(1, 9);
    expect(tail).toBeLessThan(1e-12);
  });
});
