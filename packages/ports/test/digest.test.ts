import { describe, expect, it } from 'vitest';
import { isDigest } from '../src/digest.ts';

const HEX = '0123456789abcdef'.repeat(4);

describe('a digest', () => {
  it('is sha256: and 64 lower-case hexadecimal digits', () => {
    expect(isDigest(`sha256:${HEX}`)).toBe(true);
    expect(isDigest(`sha256:${'f'.repeat(64)}`)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['a digit too few', `sha256:${HEX.slice(1)}`],
    ['a digit too many', `sha256:${HEX}0`],
    ['a line feed after it', `sha256:${HEX}\n`],
    ['a line feed in it', `sha256:${HEX.slice(1)}\n`],
    ['upper case', `sha256:${HEX.slice(0, -1)}F`],
    ['what comes before a', `sha256:${HEX.slice(0, -1)}\u0060`],
    ['what comes after f', `sha256:${HEX.slice(0, -1)}g`],
    ['what comes before 0', `sha256:/${HEX.slice(1)}`],
    ['what comes after 9', `sha256::${HEX.slice(1)}`],
    ['a wide digit', `sha256:${HEX.slice(0, -1)}\uff11`],
    ['another algorithm', `sha255:${HEX}`],
    ['nothing', ''],
    ['a list of it', [`sha256:${HEX}`]],
    ['undefined', undefined],
  ])('is not one with %s', (_what, text) => {
    expect(isDigest(text)).toBe(false);
  });
});
