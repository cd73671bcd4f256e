import { describe, expect, it } from 'vitest';
import { Content } from '../src/content.ts';
import type { Location } from '../src/beneath.ts';
import { scanDirectory } from '../src/scan.ts';
import { codeOf, digestOf, put, scratch, valueOf } from './tools.ts';

/** Files of the same size, so that only their bytes tell them apart. */
const textOf = (i: number): string => String(i).padStart(8, '0');
const COUNT = 300;

describe('finding plain files of one size by digest', () => {
  it('looks at each file a few times at most, however many are asked for', async () => {
    const names = Array.from({ length: COUNT }, (_, i) => [`f${textOf(i)}`, textOf(i)] as const);
    const scan = valueOf(await scanDirectory(put(scratch(), Object.fromEntries(names))));
    let looks = 0;
    const counted = scan.files.map((file): Location => ({
      ...file,
      get path() {
        looks += 1;
        return file.path;
      },
    }));
    try {
      const content = new Content({ ...scan, files: counted });
      // Last first: the worst order.
      for (let i = COUNT - 1; i >= 0; i -= 1) {
        const { path } = valueOf(content.locate(digestOf(textOf(i)), 8, 'a test'));
        expect(path).toBe(`f${textOf(i)}`);
      }
      expect(looks).toBeLessThan(10 * COUNT);
    } finally {
      scan.root.close();
    }
  });

  it('gives the first of several with the same bytes, and refuses what none has', async () => {
    const scan = valueOf(await scanDirectory(put(scratch(), { a: 'other', b: 'equal', c: 'equal' })));
    try {
      const content = new Content(scan);
      expect(valueOf(content.locate(digestOf('equal'), 5, 'a test')).path).toBe('b');
      expect(codeOf(content.locate(digestOf('wrong'), 5, 'a test'))).toBe('blob-missing');
      expect(valueOf(content.locate(digestOf('other'), 5, 'a test')).path).toBe('a');
    } finally {
      scan.root.close();
    }
  });
});
