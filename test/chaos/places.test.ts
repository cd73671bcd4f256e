import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CALL, PLACES, withPlaces } from './places.ts';

const PACKAGES = join(import.meta.dirname, '../../packages');

describe('the places at which a chaos run kills', () => {
  it('are each in the product exactly once', () => {
    for (const file of new Set(PLACES.map((place) => place.file))) {
      const text = withPlaces(readFileSync(join(PACKAGES, file), 'utf8'), file);
      expect(text.split(CALL).length - 1).toBe(PLACES.filter((place) => place.file === file).length);
    }
  });

  it('are at least four in each of the stops 9 to 15', () => {
    for (const stop of [9, 10, 11, 12, 13, 14, 15])
      expect(PLACES.filter((place) => place.stop === stop).length, `stop ${String(stop)}`).toBeGreaterThanOrEqual(4);
  });
});
