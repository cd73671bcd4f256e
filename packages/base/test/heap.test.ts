import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../src/heap.ts';

describe('garbage', () => {
  it('that has become old is collected though nobody asks for memory', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    let held = Array.from({ length: 10 }, () => ({ some: 'thing' }));
    const refs = held.map((each) => new WeakRef(each));
    for (let i = 0; i < 3; i += 1) collect();
    const left = (): number => refs.filter((ref) => ref.deref() !== undefined).length;
    expect(left()).toBe(10);
    held = [];
    const stop = collectGarbage(20);
    await expect.poll(left, { timeout: 10_000 }).toBe(held.length);
    stop();
  });
});
