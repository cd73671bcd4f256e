import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createJsonLogger } from '@sluice/base';
import { type BlobStore, type Digest, hexOf } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { Retention, type RetentionRules } from '../src/retention.ts';
import { image } from './images.ts';
import { type Bundle, digestOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const KIB = 1024;
const DAY = 86_400_000;
const RULES: RetentionRules = { importedForMs: 30 * DAY, failedForMs: 90 * DAY, storeBytes: 2 ** 40 };
const logger = createJsonLogger('test', { write: () => undefined });

const large = (): Buffer => randomBytes(300 * KIB);
const small = (): Buffer => randomBytes(900);

/** What is kept of a receiver's bundles, so many days from now. */
const retention = (
  receiver: Receiver,
  { days = 0, store = receiver.store, ...rules }: Partial<RetentionRules> & { days?: number; store?: BlobStore } = {},
): Retention =>
  new Retention({
    ...{ store, ledger: receiver.ledger, logger, open: () => receiver.pipeline.open },
    rules: { ...RULES, ...rules },
    now: () => Date.now() + days * DAY,
  });

async function published(receiver: Receiver, ...plans: readonly (readonly Buffer[])[]): Promise<Bundle[]> {
  const bundles: Bundle[] = [];
  for (const blobs of plans) {
    const sequence = receiver.ledger.lastKnown('prod') + 1;
    const bundle = seal({ sequence, blobs, ...(bundles.at(-1) && { previous: bundles.at(-1)!.id }) });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    bundles.push(bundle);
  }
  return bundles;
}

const imported = (receiver: Receiver, ...bundles: readonly Bundle[]): void => {
  for (const { id } of bundles) receiver.ledger.recordReceipt(id, 'imported', 'ok', Buffer.from(`receipt of ${id}`));
};

/** Bundles whose blobs are kept. */
const kept = ({ ledger }: Receiver) => ledger.keeping.inStore().map((id) => ledger.bundle(id)!);

const hasAll = async (receiver: Receiver, { transport, release, blobs }: Bundle): Promise<boolean> => {
  const stored = new Set(await receiver.stored());
  return [...blobs, transport.bytes, release.bytes].every((bytes) => stored.has(digestOf(bytes)));
};

describe('an imported bundle', () => {
  it('stays for its time, then goes with all that nobody else needs', async () => {
    const receiver = await Receiver.open();
    const { blobs, artifact } = image();
    const shared = large();
    const [first, second] = (await published(receiver, [small(), large(), shared], [shared, small()])) as [
      Bundle,
      Bundle,
    ];
    const third = seal({ sequence: 3, previous: second.id, blobs, artifacts: [artifact] });
    await receiver.take(third);
    imported(receiver, first, third);
    expect(await retention(receiver, { days: 29 }).sweep()).toEqual({ bundles: 0, blobs: 0 });
    expect(await hasAll(receiver, first)).toBe(true);

    expect(await retention(receiver, { days: 31 }).sweep()).toMatchObject({ bundles: 2 });
    const left = new Set(await receiver.stored());
    expect([...left].sort()).toEqual(
      [...second.blobs, second.transport.bytes, second.release.bytes].map(digestOf).sort(),
    );
    expect(kept(receiver)).toEqual([]);
    expect(receiver.ledger.events.about(first.id).at(-1)).toMatchObject({ kind: 'dropped', body: { why: 'age' } });
    imported(receiver, second);
    await retention(receiver, { days: 31 }).sweep();
    expect(await receiver.stored()).toEqual([]);
    expect(await receiver.store.usage()).toBe(0);
  });

  it('goes earlier when the store has more bytes than it may, the oldest first, and no more than that takes', async () => {
    const receiver = await Receiver.open();
    const bundles = await published(receiver, ...Array.from({ length: 5 }, () => [large()]));
    imported(receiver, ...bundles);
    const usage = await receiver.store.usage();
    await retention(receiver, { storeBytes: usage }).sweep();
    expect(kept(receiver)).toHaveLength(5);
    await retention(receiver, { storeBytes: usage - 1 }).sweep();
    expect(kept(receiver).map(({ sequence }) => sequence)).toEqual([2, 3, 4, 5]);
    await retention(receiver, { storeBytes: usage }).sweep(600 * KIB);
    expect(kept(receiver).map(({ sequence }) => sequence)).toEqual([4, 5]);
    for (const bundle of bundles.slice(3)) expect(await hasAll(receiver, bundle)).toBe(true);
  });

  it('leaves its pack until nobody needs one of its blobs', async () => {
    const receiver = await Receiver.open();
    const both = small();
    const [first, second] = (await published(receiver, [both, small()], [large()])) as [Bundle, Bundle];
    const pack = join(receiver.dir, 'store/packs/sha256', hexOf(first.objects[0]!.digest));
    // A newer bundle whose release names the blob, and which did not bring it.
    const other = large();
    const third = seal({
      ...{ sequence: 3, previous: second.id, blobs: [both, other] },
      objects: (pieces) => pieces.slice(1),
    });
    imported(receiver, first);
    await receiver.take(third);
    await receiver.settled();
    expect(receiver.state(third.id)).toBe('published');
    await retention(receiver, { days: 31 }).sweep();
    expect(existsSync(pack)).toBe(true);
    expect(await receiver.store.readVerified(digestOf(both), KIB)).toEqual(both);
    imported(receiver, third);
    await retention(receiver, { days: 31 }).sweep();
    expect(existsSync(pack)).toBe(false);
  });
});

describe('what is never removed', () => {
  it('is of a bundle that waits for its import, whatever its age and the size of the store', async () => {
    const receiver = await Receiver.open();
    const [bundle] = (await published(receiver, [small(), large()])) as [Bundle];
    expect(await retention(receiver, { days: 10_000, storeBytes: 1 }).sweep()).toEqual({ bundles: 0, blobs: 0 });
    expect(await hasAll(receiver, bundle)).toBe(true);
  });

  it('is listed by a bundle that is under way', async () => {
    const receiver = await Receiver.open();
    const shared = large();
    const [first] = (await published(receiver, [shared, large()])) as [Bundle];
    imported(receiver, first);
    const next = seal({ sequence: 2, previous: first.id, blobs: [shared, large()] });
    await receiver.statements(next);
    await receiver.settled();
    await retention(receiver, { days: 31 }).sweep();
    expect(await receiver.stored()).toEqual([digestOf(shared)]);
    for (const object of next.objects) if (object.digest !== digestOf(shared)) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.state(next.id)).toBe('published');
  });

  it('cannot be told while the statements of a waiting bundle cannot be read: then nothing goes', async () => {
    const receiver = await Receiver.open();
    const [first, second] = (await published(receiver, [large()], [large()])) as [Bundle, Bundle];
    imported(receiver, first);
    rmSync(join(receiver.dir, 'store/blobs/sha256', hexOf(second.release.digest)));
    expect(await retention(receiver, { days: 31 }).sweep()).toEqual({ bundles: 0, blobs: 0 });
    expect(await hasAll(receiver, first)).toBe(true);
  });

  it('of one that an importer gave up is kept longer, and not given for room', async () => {
    const receiver = await Receiver.open();
    const [bundle] = (await published(receiver, [large()])) as [Bundle];
    receiver.ledger.recordReceipt(bundle.id, 'failed', 'registry-refused', Buffer.from('r'));
    await retention(receiver, { days: 31, storeBytes: 1 }).sweep();
    expect(await hasAll(receiver, bundle)).toBe(true);
    await retention(receiver, { days: 91 }).sweep();
    expect(await receiver.stored()).toEqual([]);
  });
});

describe('a crash', () => {
  it('anywhere in it leaves nothing behind that the next look does not find', async () => {
    for (let cut = 0; cut < 4; cut += 1) {
      const receiver = await Receiver.open();
      const { blobs, artifact } = image();
      const bundle = seal({ sequence: 1, blobs, artifacts: [artifact] });
      await receiver.take(bundle);
      imported(receiver, bundle);
      let calls = 0;
      const removeMany = async (digests: readonly Digest[]): Promise<void> => {
        if (calls++ < cut) await receiver.store.removeMany(digests);
        else throw new Error('killed');
      };
      const store = new Proxy(receiver.store, {
        get: (target, name) => {
          const value: unknown = name === 'removeMany' ? removeMany : Reflect.get(target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      const killed = retention(receiver, { days: 31, store }).sweep();
      if (cut < 3) await expect(killed).rejects.toThrow('killed');
      else await killed;
      await retention(receiver, { days: 31 }).sweep();
      expect(await receiver.stored(), `cut ${cut}`).toEqual([]);
    }
  });
});
