// Who has the staging host has the transport keys of all its channels. Where people approve for several, what was replaced in one must not come back by another.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { type Bundle, fileOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const by = (channel: string, old: Bundle): Bundle => ({
  ...seal({
    channel,
    sequence: 1,
    blobs: old.blobs,
    statement: (statement) => ({
      ...statement,
      release: { digest: old.release.digest, size: old.release.bytes.length },
    }),
  }),
  release: old.release,
});

it.each([undefined, 1_764_000_000])(
  'an old release does not come back by another channel, with version %s',
  async (version) => {
    const receiver = await Receiver.open();
    const [old, fixed] = [randomBytes(2000), randomBytes(2000)];
    const versioned = (plus: number) => (version === undefined ? {} : { version: version + plus });
    const first = seal({ sequence: 1, blobs: [old], artifacts: [fileOf(old, 'app', versioned(0))] });
    const second = seal({
      ...{ sequence: 2, previous: first.id, blobs: [fixed] },
      artifacts: [fileOf(fixed, 'app', versioned(1))],
    });
    await receiver.take(first);
    await receiver.take(second);
    expect([receiver.state(first.id), receiver.state(second.id)]).toEqual(['published', 'published']);
    const again = by('lab', first);
    await receiver.statements(again, 'lab');
    for (const object of again.objects) await receiver.arrive(object, { channel: 'lab' });
    await receiver.settled();
    expect(receiver.state(again.id)).toBe('quarantined: release-repeated');
  },
);
