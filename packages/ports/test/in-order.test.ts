import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { inOrder } from '../src/index.ts';

/** Work that is done when the test says so. */
class Work {
  readonly begun: number[] = [];
  readonly ends = new Map<
    number,
    { readonly resolve: (value: number) => void; readonly reject: (error: Error) => void }
  >();

  readonly begin = (index: number): Promise<number> => {
    this.begun.push(index);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.ends.set(index, { resolve, reject });
    return promise;
  };
}

describe('work in order', () => {
  it('is under way before it is asked for, as much as was said, and given in its order', async () => {
    const work = new Work();
    const given: number[] = [];
    const all = (async () => {
      for await (const value of inOrder(5, 2, work.begin)) given.push(value);
    })();
    await setImmediate();
    expect(work.begun).toEqual([0, 1]);
    work.ends.get(1)?.resolve(10);
    await setImmediate();
    expect(given).toEqual([]);
    work.ends.get(0)?.resolve(0);
    await setImmediate();
    expect(given).toEqual([0, 10]);
    expect(work.begun).toEqual([0, 1, 2, 3]);
    for (const index of [3, 2]) work.ends.get(index)?.resolve(10 * index);
    await setImmediate();
    work.ends.get(4)?.resolve(40);
    await all;
    expect(given).toEqual([0, 10, 20, 30, 40]);
  });

  it.each([
    [0, 3],
    [1, 3],
    [3, 3],
    [7, 1],
  ])('of %i with %i at a time ends', async (count, depth) => {
    const given = await Array.fromAsync(inOrder(count, depth, (index) => Promise.resolve(index)));
    expect(given).toEqual([...Array(count).keys()]);
  });

  it('that fails is the caller’s to hear of in its turn, and by then nothing is under way', async () => {
    const work = new Work();
    let isOver = false;
    const all = Array.fromAsync(inOrder(4, 3, work.begin)).finally(() => {
      isOver = true;
    });
    const failed = expect(all).rejects.toThrow('no');
    await setImmediate();
    work.ends.get(2)?.reject(new Error('not heard of'));
    work.ends.get(0)?.reject(new Error('no'));
    await setImmediate();
    expect(isOver).toBe(false);
    work.ends.get(1)?.resolve(1);
    await failed;
    expect(work.begun).toEqual([0, 1, 2]);
  });
});
