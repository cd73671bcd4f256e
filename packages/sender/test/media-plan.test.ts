import { makeProfile, PROFILES, repairCount } from '@sluice/fec';
import { describe, expect, it } from 'vitest';
import { planMedia, survives } from '../src/media/plan.ts';

const object = (size: number) =>
  ({ digest: `sha256:${'0'.repeat(64)}`, size, contentType: 'application/octet-stream' }) as const;
const settings = { symbolBytes: 1408, profile: PROFILES.robust };
const order = (size: number) => ({ statements: [object(2000), object(3000)], objects: [object(size)] });
const MIB = 2 ** 20;

describe('the plan of an export', () => {
  it.each([
    [1, 2],
    [9, 2],
    [300, 2],
    [300, 3],
    [5000, 1],
  ])('of %i MiB loses no block with any %i files', (size, spareParts) => {
    const { parts, profile } = planMedia(order(size * MIB), settings, { partBytes: 64 * MIB, spareParts });
    // The very dealing, over every length of block and place of its first symbol.
    for (let k = 1; k <= profile.maxBlock; k += 1) {
      const n = k + repairCount(k, profile);
      const inPart = Array.from({ length: parts }, (_, part) => {
        let count = 0;
        for (let esi = 0; esi < n; esi += 1) count += Number((esi + k) % parts === part);
        return count;
      }).toSorted((a, b) => b - a);
      const lost = inPart.slice(0, spareParts).reduce((sum, count) => sum + count, 0);
      expect(n - lost).toBeGreaterThanOrEqual(k);
    }
  });

  it('takes no more repair than the fibre does where there are many files anyway', () => {
    const { parts, profile } = planMedia(order(500 * MIB), settings, { partBytes: 10 * MIB, spareParts: 2 });
    expect(profile.repair).toBe(PROFILES.robust.repair);
    expect(parts).toBeGreaterThan(50);
  });

  it('is refused where no number of files would do', () => {
    expect(() => planMedia(order(500 * MIB), settings, { partBytes: MIB, spareParts: 2 })).toThrow(/longer files/);
    expect(() => planMedia(order(MIB), settings, { partBytes: 64 * MIB, spareParts: 0 })).not.toThrow();
  });

  it('knows when spare files are too many', () => {
    const profile = makeProfile({ name: 'x', maxBlock: 200, repair: 20 });
    expect(survives(11, profile, 1)).toBe(true);
    expect(survives(10, profile, 1)).toBe(false);
  });
});
