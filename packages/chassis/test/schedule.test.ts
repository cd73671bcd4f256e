import { createJsonLogger, parseConfig } from '@sluice/base';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cronExpression, schedule } from '../src/index.ts';

const lines: string[] = [];
const options = { name: 'poll', logger: createJsonLogger('test', { write: (line) => lines.push(line) }) };
beforeEach(() => {
  lines.length = 0;
  vi.useFakeTimers({ now: 1_700_000_000_500 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a schedule', () => {
  it('runs by its expression until it is stopped', async () => {
    let runs = 0;
    const poll = schedule('*/2 * * * * *', () => void (runs += 1), options);
    expect(poll.next()?.getTime()).toBe(1_700_000_002_000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(runs).toBe(5);
    await poll.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(runs).toBe(5);
  });

  it('never runs twice at once, and its end waits for the run that is on', async () => {
    const gate = Promise.withResolvers<undefined>();
    let runs = 0;
    const poll = schedule('* * * * * *', () => ((runs += 1), gate.promise), options);
    await vi.advanceTimersByTimeAsync(3000);
    expect(runs).toBe(1);
    expect(lines.filter((line) => line.includes('left out')).length).toBeGreaterThan(0);
    let stopped = false;
    const stopping = poll.stop().then(() => (stopped = true));
    await vi.advanceTimersByTimeAsync(10);
    expect(stopped).toBe(false);
    gate.resolve(undefined);
    await stopping;
    expect(runs).toBe(1);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ])('goes on after a run that %s', async (_, work) => {
    const poll = schedule('* * * * * *', work, options);
    await vi.advanceTimersByTimeAsync(3000);
    await poll.run();
    await poll.stop();
    expect(lines.filter((line) => line.includes('broken')).length).toBe(4);
    expect(lines[0]).toContain('"schedule":"poll"');
  });
});

describe('a cron expression in a configuration', () => {
  it('is checked', () => {
    const from = { file: 'c.json' };
    expect(parseConfig('"*/5 * * * *"', cronExpression('when'), from)).toBe('*/5 * * * *');
    expect(() => parseConfig('"61 * * * *"', cronExpression('when'), from)).toThrow(
      'c.json: the document is "61 * * * *", which is no cron expression; write five fields such as "*/5 * * * *".',
    );
  });
});
