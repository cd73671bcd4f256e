import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Artifact } from '@sluice/bundle';
import { type Digest, type OperationalCode, OperationalError } from '@sluice/ports';
import { RegistryError } from '@sluice/registry';
import { subjectsFirst } from '../src/order.ts';
import { makePlan } from '../src/plan.ts';
import { classOf, paceOf } from '../src/retry.ts';
import { imageArtifact, OpenStore } from './world.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY: Digest = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';

/** Manifests in a store, each about another. */
class Chain {
  readonly store = new OpenStore();

  add(name: string, tags: readonly string[], subject?: Artifact): Artifact {
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: EMPTY, size: 2 };
    const about =
      subject === undefined ? {} : { subject: { mediaType: MANIFEST, digest: subject.digest, size: subject.size } };
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers: [],
      annotations: { name },
      ...about,
    });
    const bytes = Buffer.from(text);
    const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    this.store.blobs.set(digest, bytes);
    return imageArtifact({ digest, size: bytes.length, mediaType: MANIFEST }, name, 'p/r', tags);
  }

  async order(...artifacts: Artifact[]): Promise<string[]> {
    const plan = await makePlan(artifacts, this.store, true);
    if (!plan.ok) throw new Error(plan.error.detail);
    return plan.value.oci.map(({ name }) => name);
  }
}

describe('order of a release', () => {
  it('puts subjects before what refers to them, over several steps and in any order given', async () => {
    const chain = new Chain();
    const image = chain.add('image', ['1']);
    const sbom = chain.add('sbom', [], image);
    const signature = chain.add('signature of the sbom', [], sbom);
    const tagged = chain.add('cosign', [`${image.digest.replace(':', '-')}.sig`]);
    const expected = ['image', 'sbom', 'cosign', 'signature of the sbom'];
    expect(await chain.order(signature, tagged, sbom, image)).toEqual([
      'image',
      'cosign',
      'sbom',
      'signature of the sbom',
    ]);
    expect(await chain.order(image, sbom, tagged, signature)).toEqual(expected);
  });

  it('comes to an end when tags name each other in a circle, or themselves', async () => {
    const chain = new Chain();
    const [a, b] = [chain.add('a', []), chain.add('b', [])];
    const tag = ({ digest }: Artifact): string => `${digest.replace(':', '-')}.sig`;
    const [x, y] = [
      { ...a, target: { repository: 'p/r', tags: [tag(b)] } },
      { ...b, target: { repository: 'p/r', tags: [tag(a), tag(b)] } },
    ];
    expect(await chain.order(x, y)).toEqual(['a', 'b']);
  });

  it('looks at each artifact a few times, however many there are: a chain in the worst order, and as many about one', () => {
    const named = (i: number): Digest => `sha256:${String(i).padStart(64, '0')}`;
    for (const subjectOf of [(i: number) => i - 1, () => 0]) {
      let looks = 0;
      const all = Array.from({ length: 5000 }, (_, i) => ({
        artifact: {
          number: i,
          get digest() {
            looks += 1;
            return named(i);
          },
        },
        subjects: i === 0 ? [] : [named(subjectOf(i))],
      }));
      const order = subjectsFirst(all.toReversed()).map(({ number }) => number);
      expect(order[0]).toBe(0);
      const at = new Map(order.map((number, place) => [number, place]));
      expect(at.size).toBe(all.length);
      for (let i = 1; i < all.length; i += 1) expect(at.get(i)).toBeGreaterThan(at.get(subjectOf(i)) ?? Infinity);
      expect(looks).toBeLessThan(10 * all.length);
    }
  });

  it('names the projects, each once', async () => {
    const chain = new Chain();
    const image = chain.add('one', []);
    const more = { ...chain.add('two', []), target: { repository: 'q/x/y', tags: [] } };
    expect(await makePlan([image, { ...image, name: 'again' }, more], chain.store, true)).toMatchObject({
      ok: true,
      value: { projects: ['p', 'q'], files: [] },
    });
  });
});

describe('retries', () => {
  const retry = { transientFirst: 1000, transientMax: 60_000, operatorFirst: 30_000, operatorMax: 300_000 };
  const transient = new RegistryError('registry-unavailable', 'x');
  const operator = new RegistryError('harbor-quota', 'x');

  it('double up to their cap, with the upper half at random', () => {
    const waits = (error: Error, random: number): number[] =>
      [1, 2, 3, 7, 1000, 2 ** 31].map((attempts) => paceOf(error, attempts, retry, () => random));
    expect(waits(transient, 1)).toEqual([1000, 2000, 4000, 60_000, 60_000, 60_000]);
    expect(waits(transient, 0)).toEqual([500, 1000, 2000, 30_000, 30_000, 30_000]);
    expect(waits(operator, 1)).toEqual([30_000, 60_000, 120_000, 300_000, 300_000, 300_000]);
  });

  it('have a class for every error of the world, and none for our own', () => {
    const world = (code: OperationalCode, retryable: boolean): OperationalError =>
      new OperationalError(code, 'x', { retryable });
    expect(classOf(transient)).toBe('transient');
    expect(classOf(operator)).toBe('operator');
    expect(classOf(new RegistryError('registry-digest-invalid', 'x'))).toBe('fatal');
    expect(classOf(world('store-unreachable', true))).toBe('transient');
    expect(classOf(world('store-missing', false))).toBe('operator');
    expect(classOf(world('files-unwritable', true))).toBe('operator');
    expect(classOf(new TypeError('x'))).toBeUndefined();
  });
});
