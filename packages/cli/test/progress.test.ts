import { describe, expect, it } from 'vitest';
import { amountOf, Progress } from '../src/progress.ts';

/** What was written to a terminal, or to a file, while the clock was set by hand. */
function shown(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const to = { isTTY, columns, write: (text: string) => written.push(text) };
  return { written, clock, progress: new Progress({ what: 'sending', to, now: () => clock.ms }) };
}

describe('progress', () => {
  it('is a bar with rate and time left on a terminal, drawn ten times a second at most, and taken away', () => {
    const { written, clock, progress } = shown(true, 200);
    progress.at(0, 100_000_000);
    for (clock.ms = 10; clock.ms <= 5000; clock.ms += 10) progress.at(clock.ms * 5000, 100_000_000);
    expect(written.length).toBeGreaterThan(40);
    expect(written.length).toBeLessThanOrEqual(51);
    expect(written.at(-1)).toBe(
      '\r\u001b[Ksending [######..................] 25 %, 25.0 MB of 100 MB, 5.0 MB/s, 15 s left',
    );
    progress.end();
    progress.end();
    expect(written.filter((text) => text === '\r\u001b[K')).toHaveLength(1);
  });

  it('is a line every ten seconds elsewhere, and nothing where it is over before', () => {
    const { written, clock, progress } = shown(false);
    for (clock.ms = 0; clock.ms < 10_000; clock.ms += 100) progress.at(clock.ms, 60_000);
    progress.end();
    expect(written).toEqual([]);
    for (; clock.ms <= 35_000; clock.ms += 100) progress.at(clock.ms, 60_000);
    progress.end();
    expect(written).toEqual([
      'sending: 16 %, 10.0 kB of 60.0 kB, 1.0 kB/s, 50 s left\n',
      'sending: 33 %, 20.0 kB of 60.0 kB, 1.0 kB/s, 40 s left\n',
      'sending: 50 %, 30.0 kB of 60.0 kB, 1.0 kB/s, 30 s left\n',
    ]);
  });

  it('fits into its line, and goes by what happened lately', () => {
    const { written, clock, progress } = shown(true, 40);
    for (clock.ms = 0; clock.ms <= 20_000; clock.ms += 100) progress.at(clock.ms * 1000, 1_000_000_000);
    // It stands.
    for (; clock.ms <= 40_000; clock.ms += 100) progress.at(20_000_000, 1_000_000_000);
    for (const text of written) expect(text.length).toBeLessThanOrEqual(39 + 4);
    const wide = shown(true, 200);
    for (wide.clock.ms = 0; wide.clock.ms <= 20_000; wide.clock.ms += 100)
      wide.progress.at(Math.min(wide.clock.ms, 5000), 10_000);
    expect(wide.written.at(-1)).toMatch(/50 %, 5\.0 kB of 10\.0 kB$/);
  });

  it('remembers no more than the rate needs, of however many steps it is told', () => {
    const { clock, progress } = shown(false);
    const before = process.memoryUsage().heapUsed;
    for (let step = 0; step < 2_000_000; step += 1) {
      clock.ms = step / 250;
      progress.at(step, 4_000_000);
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(40 * 2 ** 20);
  });

  it('does without a total', () => {
    const { written, clock, progress } = shown(true, 200);
    progress.at(0, undefined);
    clock.ms = 2000;
    progress.at(3000, undefined);
    expect(written.at(-1)).toBe('\r\u001b[Ksending 3.0 kB, 1.5 kB/s');
  });

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1500, '1.5 kB'],
    [123_456_789, '123 MB'],
    [20e9, '20.0 GB'],
    [5e15, '5000 TB'],
  ])('%d bytes are %s', (value, words) => {
    expect(amountOf(value, 'B')).toBe(words);
  });
});
