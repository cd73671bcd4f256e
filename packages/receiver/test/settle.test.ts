import { randomBytes } from 'node:crypto';
import { hexOf } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { type Bundle, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const contents = (): Buffer[] => [randomBytes(2000), randomBytes(300 * 1024)];

/** Digests that link was told to settle, in order. */
const settled = (receiver: Receiver): string[] =>
  receiver.said.flatMap((message) => (message.type === 'settle' ? [message.key.slice(0, 64)] : []));

/** A crash of either side may let any first part of what link is told reach it: what is left must still end the bundle. */
describe('what link may forget', () => {
  const expectLast = (receiver: Receiver, { id, objects, release }: Bundle): void => {
    const told = settled(receiver);
    expect(told).toContain(hexOf(release.digest));
    for (const { digest } of objects) expect(told).toContain(hexOf(digest));
    expect(told.at(-1)).toBe(hexOf(id));
  };

  it('of a published bundle is named with its statement last', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: contents() });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    expectLast(receiver, bundle);
  });

  it('of a bundle that an earlier run ended goes by name, before its statement', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: contents() });
    await receiver.take(bundle);
    receiver.restart();
    receiver.said.length = 0;
    // Link heard nothing of the end, and names its whole objects anew, the statement first.
    await receiver.arrive(bundle.transport);
    await receiver.settled();
    const others = [...bundle.objects.map(({ digest }) => digest), bundle.release.digest];
    expect(receiver.said.map(({ type }) => type)).toEqual(['withdraw', 'settle']);
    expect(receiver.said[0]).toEqual({ type: 'withdraw', channel: 'prod', digests: others });
    expect(settled(receiver)).toEqual([hexOf(bundle.id)]);
  });

  it('of a refused bundle is named with its statement last', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: contents(), releaseKeys: ['stranger'] });
    for (const object of bundle.objects) await receiver.arrive(object);
    await receiver.statements(bundle);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('quarantined: signer-unknown');
    expectLast(receiver, bundle);
  });
});
