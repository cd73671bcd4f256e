import { describe, expect, it } from 'vitest';
import { Pulse } from '../src/index.ts';

describe('a pulse', () => {
  it('says how long a thread that has work has not moved, by beats of the other end alone', () => {
    let now = 1000;
    const pulse = new Pulse(undefined, () => now);
    const thread = new Pulse(pulse.shared);
    expect(pulse.stillMs(false)).toBe(0);
    now = 5000;
    expect(pulse.stillMs(false)).toBe(0);
    now = 6000;
    expect(pulse.stillMs(true)).toBe(1000);
    now = 9000;
    expect(pulse.stillMs(true)).toBe(4000);
    thread.beat();
    expect(pulse.stillMs(true)).toBe(0);
    now = 9500;
    expect(pulse.stillMs(true)).toBe(500);
    // Its work is done: whatever comes next begins anew.
    expect(pulse.stillMs(false)).toBe(0);
    now = 10_000;
    expect(pulse.stillMs(true)).toBe(500);
  });
});
