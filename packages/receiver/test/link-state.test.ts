import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Digest } from '@sluice/ports';
import { LinkState } from '../src/link-state.ts';
import { Turns } from '../src/turns.ts';
import { digestOf } from './bundles.ts';

const digest = (n: number): Digest => digestOf(Buffer.from(`object ${n}`));
const HEARTBEAT = { seconds: 1, state: 'idle', sequence: 3, head: digest(0), config: digest(1), faults: [] } as const;
const status = (tsi: number) =>
  ({ type: 'status', tsi, numbers: { lost: 4 }, verdicts: { accepted: 5 }, stageNs: { tag: 6 } }) as const;
const progress = (n: number, stored: number) =>
  ({ type: 'progress', channel: 'prod', digest: digest(n), size: 100, blocks: 10, stored }) as const;

describe('what link said', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('says since when it is silent, for the process and for each channel', () => {
    const state = new LinkState();
    expect([state.silentMs, state.heartbeatAge('prod'), state.heartbeatOf('prod')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    state.status(status(9));
    state.heartbeat('prod', HEARTBEAT);
    vi.advanceTimersByTime(1500);
    state.heartbeat('lab', HEARTBEAT);
    expect(state.silentMs).toBe(1500);
    expect(state.heartbeatAge('prod')).toBe(1500);
    expect(state.heartbeatAge('lab')).toBe(0);
    expect(state.heartbeatOf('prod')).toEqual({ ...HEARTBEAT, ageMs: 1500 });
    expect(state.view()).toMatchObject({
      session: 9,
      numbers: { lost: 4 },
      verdicts: { accepted: 5 },
      stageNs: { tag: 6 },
    });
  });

  it('keeps the latest of each alarm', () => {
    const state = new LinkState();
    state.alarm('spool-full', 'first');
    vi.advanceTimersByTime(1000);
    state.alarm('spool-full', 'second');
    state.alarm('epoch-went-back', 'third');
    vi.advanceTimersByTime(10);
    expect(state.alarms).toEqual([
      { code: 'spool-full', detail: 'second', ageMs: 10 },
      { code: 'epoch-went-back', detail: 'third', ageMs: 10 },
    ]);
  });

  it('remembers the progress of objects under way, the latest thousand of them', () => {
    const state = new LinkState();
    for (let n = 0; n < 1200; n += 1) state.progress(progress(n, 1));
    state.progress(progress(300, 7));
    state.progress(progress(1100, 10));
    const { progress: shown } = state.view() as { progress: { digest: string; stored: number }[] };
    expect(shown).toHaveLength(999);
    expect(shown.at(-1)).toMatchObject({ digest: digest(300), stored: 7 });
    expect(shown.some((each) => each.digest === digest(1100))).toBe(false);
    for (let n = 0; n < 1200; n += 1)
      state.margin({ type: 'margin', channel: 'prod', digest: digest(n), worst: n, recovered: 0 });
    expect(state.margins).toHaveLength(1000);
    expect(state.margins.at(-1)).toBe(1199);
  });
});

describe('turns', () => {
  it('come one after the other in their order; one that fails tells its caller and no one else', async () => {
    const turns = new Turns();
    const told: string[] = [];
    let release = (): void => undefined;
    const first = turns.take(async () => {
      await new Promise<void>((resolve) => (release = resolve));
      told.push('first');
    });
    const second = turns.take(() => Promise.reject(new Error('second')));
    const third = turns.take(() => Promise.resolve(told.push('third')));
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([]);
    release();
    await expect(second).rejects.toThrow('second');
    await Promise.all([first, third]);
    await turns.idle();
    expect(told).toEqual(['first', 'third']);
  });
});
