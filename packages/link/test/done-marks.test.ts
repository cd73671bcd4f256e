import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type DoneMark, DoneMarks } from '../src/done-marks.ts';

const markOf = (n: number, others: Partial<DoneMark> = {}): DoneMark => ({
  channel: 'prod',
  digest: `sha256:${createHash('sha256').update(String(n)).digest('hex')}`,
  ...{ size: 700 + n, symbolBytes: 640, maxBlock: 10, contentType: 'application/octet-stream' },
  ...others,
});

describe('marks of what was taken', () => {
  it('are known by channel and digest, and taken out whole', () => {
    const marks = new DoneMarks(10);
    expect(marks.add(markOf(1))).toEqual([]);
    expect(marks.has('prod', markOf(1).digest)).toBe(true);
    expect(marks.has('lab', markOf(1).digest)).toBe(false);
    expect(marks.take('prod', markOf(1).digest)).toEqual(markOf(1));
    expect(marks.take('prod', markOf(1).digest)).toBeUndefined();
    expect(marks.has('prod', markOf(1).digest)).toBe(false);
  });

  it('are one for each object: made again it is the newest, and in another shape its old file goes', () => {
    const marks = new DoneMarks(2);
    for (const n of [1, 2]) marks.add(markOf(n));
    expect(marks.add(markOf(1))).toEqual([]);
    expect(marks.add(markOf(1, { symbolBytes: 1280 }))).toEqual([markOf(1)]);
    expect(marks.add(markOf(3))).toEqual([markOf(2)]);
    expect(marks.take('prod', markOf(1).digest)).toEqual(markOf(1, { symbolBytes: 1280 }));
  });
});
