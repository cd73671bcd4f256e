import type { Digest } from '@sluice/ports';

/** An artifact, and the digests of those that it is about. */
export interface Ordered<T extends { readonly digest: Digest }> {
  readonly artifact: T;
  readonly subjects: readonly Digest[];
}

/**
 * Those that are about nothing else in the release, then those that are only about these, and so on; in the order given otherwise. Every artifact
 * and every reference is looked at once.
 */
export function subjectsFirst<T extends { readonly digest: Digest }>(artifacts: readonly Ordered<T>[]): readonly T[] {
  /** Artifacts of a digest that are not sorted yet, by which nothing about it may go. */
  const left = new Map<Digest, number>();
  for (const { artifact } of artifacts) left.set(artifact.digest, (left.get(artifact.digest) ?? 0) + 1);
  const about = new Map<Digest, number[]>();
  const waitsFor = artifacts.map(({ artifact, subjects }, i) => {
    const others = [...new Set(subjects)].filter((subject) => subject !== artifact.digest && left.has(subject));
    for (const subject of others) {
      const known = about.get(subject);
      if (known === undefined) about.set(subject, [i]);
      else known.push(i);
    }
    return others.length;
  });
  const sorted = new Set<number>();
  let free = artifacts
    .keys()
    .filter((i) => waitsFor[i] === 0)
    .toArray();
  while (free.length > 0) {
    const next: number[] = [];
    for (const i of free) {
      sorted.add(i);
      const digest = artifacts[i]?.artifact.digest;
      if (digest === undefined) continue;
      const others = (left.get(digest) ?? 0) - 1;
      left.set(digest, others);
      for (const waiting of others > 0 ? [] : (about.get(digest) ?? [])) {
        waitsFor[waiting] = (waitsFor[waiting] ?? 0) - 1;
        if (waitsFor[waiting] === 0) next.push(waiting);
      }
    }
    free = next.sort((a, b) => a - b);
  }
  // Tags may name each other in a circle, digests cannot: then any order is as good.
  for (const i of artifacts.keys()) sorted.add(i);
  return [...sorted].flatMap((i) => artifacts[i]?.artifact ?? []);
}
