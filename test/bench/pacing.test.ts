import { describe, expect, it } from 'vitest';
import { worstBurst, worstSecond } from './pacing.ts';

const frames = (times: readonly number[]) => times.map((at) => ({ at, bits: 1000 }));

describe('pacing, from the times of frames', () => {
  it('finds the fullest second, whose first frame has left when its last one comes', () => {
    expect(worstSecond(frames([0, 500, 999]))).toBe(3000);
    expect(worstSecond(frames([0, 500, 1000]))).toBe(2000);
    expect(worstSecond(frames([0, 2000, 2100, 2200, 2300, 5000]))).toBe(4000);
  });

  it('finds the stretch that exceeds its length by most', () => {
    // 1,000 bits a frame at 1 Mb/s: each takes a millisecond.
    expect(worstBurst(frames([0, 1, 2, 3]), 1e6)).toBeCloseTo(1);
    expect(worstBurst(frames([0, 10, 10, 10, 30]), 1e6)).toBeCloseTo(3);
    expect(worstBurst(frames([0, 10, 10.5, 20]), 1e6)).toBeCloseTo(1.5);
  });
});
