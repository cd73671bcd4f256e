/**
 * What `begin` gives for 0 to `count` - 1, in that order, while the next ones are under way: `depth` at a time, the one in hand
 * included. The next is begun when the one in hand is done with, so `depth` buffers used in turn suffice. However it ends, nothing is
 * under way any more afterwards.
 */
export async function* inOrder<T>(
  count: number,
  depth: number,
  begin: (index: number) => Promise<T>,
): AsyncGenerator<T> {
  const underWay = new Map<number, Promise<T>>();
  const start = (index: number): void => {
    if (index >= count) return;
    const result = begin(index);
    // Whoever waits for it hears of it; after a fault nobody does.
    result.catch(() => undefined);
    underWay.set(index, result);
  };
  for (let index = 0; index < depth; index += 1) start(index);
  try {
    for (let index = 0; index < count; index += 1) {
      const result = await underWay.get(index);
      underWay.delete(index);
      yield result as T;
      start(index + depth);
    }
  } finally {
    await Promise.allSettled(underWay.values());
  }
}
