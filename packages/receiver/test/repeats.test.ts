import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Bundle, fileOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const small = (): Buffer => randomBytes(2000);
const large = (): Buffer => randomBytes(300 * 1024);

describe('the canary', () => {
  const again = (first: Bundle, sequence: number, previous: Bundle): Bundle =>
    seal({
      sequence,
      previous: previous.id,
      blobs: first.blobs,
      statement: (statement) => ({
        ...statement,
        release: { digest: first.release.digest, size: first.release.bytes.length },
      }),
    });

  it('is the one release that may be published again and again, in its own channel', async () => {
    const first = seal({ sequence: 1, blobs: [small(), large()] });
    const receiver = await Receiver.open({ canary: { channel: 'prod', release: first.release.digest } });
    const second = again(first, 2, first);
    const third = again(first, 3, second);
    // The last two are under way together.
    await receiver.take(first);
    await receiver.arrive(second.transport);
    await receiver.arrive(third.transport);
    for (const piece of [first.release, ...first.objects]) await receiver.arrive(piece);
    await receiver.settled();
    expect([first, second, third].map(({ id }) => receiver.state(id))).toEqual(['published', 'published', 'published']);
    expect(receiver.published).toHaveLength(3);
    expect(receiver.ledger.lastImported('prod', first.release.digest)).toBeUndefined();
    expect(receiver.spooled()).toEqual([]);
  });

  it('makes no other release so, nor itself in another channel', async () => {
    const [first, other] = [seal({ sequence: 1, blobs: [small()] }), seal({ sequence: 1, blobs: [small()] })];
    const lab = { channel: 'lab', release: first.release.digest };
    for (const canary of [{ channel: 'prod', release: other.release.digest }, lab]) {
      const receiver = await Receiver.open({ canary });
      const second = again(first, 2, first);
      await receiver.take(first);
      await receiver.arrive(second.transport);
      for (const piece of [first.release, ...first.objects]) await receiver.arrive(piece);
      await expectRefusedOnly(receiver, second);
    }
  });

  it('may bring no version: that must be greater each time', async () => {
    const db = small();
    const artifacts = [fileOf(db, 'db', { version: 7 })];
    const first = seal({ sequence: 1, blobs: [db], artifacts });
    const receiver = await Receiver.open({ canary: { channel: 'prod', release: first.release.digest } });
    await receiver.take(first);
    const second = again(first, 2, first);
    await receiver.arrive(second.transport);
    await receiver.arrive(first.release);
    await receiver.settled();
    expect(receiver.state(second.id)).toBe('quarantined: version-not-newer');
  });

  /** Its release is in the store: the first bundle brought it. */
  async function expectRefusedOnly(receiver: Receiver, bundle: Bundle): Promise<void> {
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('quarantined: release-repeated');
    expect(receiver.published).not.toContain(bundle.id);
  }
});
