import { setTimeout } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { PauseWatch } from '../src/pauses.ts';

const block = (ms: number): void => {
  for (const end = performance.now() + ms; performance.now() < end;);
};

it('knows the longest stretch in which the thread did something else, and forgets it in time', async () => {
  const watch = new PauseWatch();
  await setTimeout(30);
  block(400);
  await vi.waitFor(() => {
    expect(watch.worstMs).toBeGreaterThan(300);
  });
  const now = vi.spyOn(performance, 'now');
  const end = performance.now();
  // Once over a minute it counts as that of before, after the second it is gone.
  now.mockReturnValue(end + 61_000);
  expect(watch.worstMs).toBeGreaterThan(300);
  now.mockReturnValue(end + 122_001);
  expect(watch.worstMs).toBeGreaterThan(300);
  now.mockReturnValue(end + 183_002);
  expect(watch.worstMs).toBeLessThan(300);
  now.mockRestore();
});
