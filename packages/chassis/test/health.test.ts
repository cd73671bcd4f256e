import { systemClock } from '@sluice/base';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CHECK_TIMEOUT_MS, createHealth, type Health } from '../src/index.ts';

const make = (): Health =>
  createHealth({ description: 'receiver', version: '0.1.0', clock: { ...systemClock, wallSeconds: () => 0 } });
afterEach(() => {
  vi.useRealTimers();
});

describe('health', () => {
  it('reports each check in the shape of the draft, the worst as the whole', async () => {
    const health = make();
    health.add({ name: 'ledger:write', check: () => ({ status: 'pass' }) });
    health.add({
      name: 'spool:free',
      check: () =>
        Promise.resolve({
          status: 'warn',
          observedValue: 5,
          observedUnit: 'GiB',
          threshold: 10,
          output: 'nearly full\nclean up',
        }),
    });
    const time = '1970-01-01T00:00:00.000Z';
    expect(await health.report()).toEqual({
      status: 'warn',
      description: 'receiver',
      version: '0.1.0',
      output: 'spool:free: nearly full clean up',
      checks: {
        'ledger:write': [{ status: 'pass', time }],
        'spool:free': [
          {
            status: 'warn',
            observedValue: 5,
            observedUnit: 'GiB',
            threshold: 10,
            output: 'nearly full clean up',
            time,
          },
        ],
      },
    });
  });

  it('answers three questions apart', async () => {
    const health = make();
    const fail = { status: 'fail', output: 'no' } as const;
    health.add({ name: 'loop:progress', gates: 'live', check: () => ({ status: 'pass' }) });
    const mend = health.add({ name: 'ledger:open', gates: 'ready', check: () => fail });
    health.add({ name: 'link:freshness', check: () => fail });
    const ask = async (): Promise<string[]> =>
      (await Promise.all([health.live(), health.ready(), health.report()])).map(({ status }) => status);
    expect(await ask()).toEqual(['pass', 'fail', 'fail']);
    mend();
    expect(await ask()).toEqual(['pass', 'pass', 'fail']);
    health.add({ name: 'loop:other', gates: 'live', check: () => fail });
    expect(await ask()).toEqual(['fail', 'fail', 'fail']);
  });

  it('takes a check that throws or does not answer for failed', async () => {
    vi.useFakeTimers();
    const health = make();
    health.add({ name: 'a', check: () => Promise.reject(new Error('broken')) });
    health.add({ name: 'b', check: () => new Promise(() => undefined) });
    const report = health.report();
    await vi.advanceTimersByTimeAsync(CHECK_TIMEOUT_MS);
    const { checks } = await report;
    expect(checks.a?.[0]).toMatchObject({ status: 'fail', output: 'broken' });
    expect(checks.b?.[0]).toMatchObject({ status: 'fail', output: 'the check did not answer within 2000 ms' });
  });

  it('wants good and new names', () => {
    const health = make();
    const check = (): { status: 'pass' } => ({ status: 'pass' });
    health.add({ name: 'a:b', check });
    expect(() => health.add({ name: 'a:b', check })).toThrow(/taken/);
    expect(() => health.add({ name: 'a b', check })).toThrow(/bad/);
  });
});
