import { describe, expect, it } from 'vitest';
import { advise } from '../src/linktest/advise.ts';
import { type SeenStep, Tally } from '../src/linktest/tally.ts';

describe('a tally', () => {
  it('finds losses, bursts, reordering and the rate by numbers and times alone', () => {
    const tally = new Tally(7, 1452);
    const ms = 1e6;
    // 1 lost at the start, 4 to 6 in a row, 9; 3 comes behind 7.
    for (const [sn, at] of [
      [2, 1],
      [7, 6],
      [3, 6.5],
      [8, 7],
      [10, 9],
    ] as const)
      tally.add(sn, at * ms);
    expect(tally.step()).toMatchObject({
      ...{ session: 7, received: 5, lost: 5, loss: 0.5, reordered: 1, bursts: 3, longestBurst: 3 },
      meanBurst: 5 / 3,
      // Nine datagrams of 1518 bytes on the fibre in 8 ms.
      bitsPerSecond: (9 * 1518 * 8) / 0.008,
      longestBurstMs: expect.closeTo(3 * (8 / 9)) as number,
    });
  });

  it('follows a session of any length, and nothing that came is nothing', () => {
    const tally = new Tally(1, 1452);
    for (let sn = 1; sn <= 1_000_000; sn += 1) if (sn % 1000 !== 0) tally.add(sn, sn * 1000);
    expect(tally.step()).toMatchObject({ received: 999_000, lost: 999, bursts: 999, longestBurst: 1 });
    expect(new Tally(1, 0).step()).toMatchObject({ received: 0, lost: 0, loss: 0, bitsPerSecond: 0 });
  });
});

const step = (mbit: number, over: Partial<SeenStep> = {}): SeenStep => {
  const received = mbit * 200;
  const lost = Math.round((over.loss ?? 0) * received);
  return {
    ...{ session: mbit, bitsPerSecond: mbit * 1e6, received, lost, loss: 0, reordered: 0 },
    ...{ bursts: lost, meanBurst: 1, longestBurst: lost > 0 ? 1 : 0, longestBurstMs: 0, kernelDrops: 0 },
    ...{ blocks: 10, blocksWhole: 10 },
    ...over,
  };
};

describe('the advice', () => {
  it('is the highest rate at which no more is lost than below it', () => {
    const steps = [step(100), step(500, { loss: 0.00005 }), step(800, { loss: 0.02, kernelDrops: 0 }), step(900)];
    expect(advise(steps, 1408)).toMatchObject({ bitsPerSecond: 500e6, profile: 'robust', outageMs: 20 });
    expect(advise([step(100), step(950)], 1408).notes).toContainEqual(expect.stringContaining('go further up'));
  });

  it('does not blame the rate for a loss that every rate has, but the code has to make up for it', () => {
    const seen = advise([step(100, { loss: 0.03 }), step(900, { loss: 0.031 })], 1408);
    expect(seen.bitsPerSecond).toBe(900e6);
    expect(seen.profile).not.toBe('robust');
    expect(seen.failure).toBeLessThan(1e-6);
    const hopeless = advise([step(100, { loss: 0.4 })], 1408);
    expect(hopeless.failure).toBeGreaterThan(0.5);
    expect(hopeless.notes).toContainEqual(expect.stringContaining('no code makes up'));
  });

  it('interleaves for twice the longest burst', () => {
    expect(advise([step(100, { longestBurstMs: 33, lost: 400 })], 1408).outageMs).toBe(70);
    expect(advise([step(100, { longestBurstMs: 1e5 })], 1408).outageMs).toBe(1000);
  });

  it('says where the host lost what the link carried, and of what nothing came', () => {
    const { notes } = advise([step(100), step(900, { loss: 0.1, lost: 100, kernelDrops: 90 })], 1408);
    expect(notes).toContainEqual(expect.stringContaining('lost in this host'));
    expect(notes).toContainEqual(
      '90 datagrams found no room in the socket: raise the receive buffer (deploy/README.md)',
    );
    expect(advise([step(100), step(0)], 1408).notes).toContainEqual(expect.stringContaining('nothing came at all'));
  });
});
