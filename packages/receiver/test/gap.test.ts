// A number that did not come is named by the bundle after it: no other may take it (docs/PROTOCOL.md B-8, B-15).
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const some = () => ({ blobs: [randomBytes(2000)] });

it.each(['at once', 'after a restart'])(
  'a gap is filled by the bundle that the one after it names, and by no other, %s',
  async (when) => {
    const receiver = await Receiver.open();
    const first = seal({ sequence: 1, ...some() });
    const second = seal({ sequence: 2, previous: first.id, ...some() });
    const third = seal({ sequence: 3, previous: second.id, ...some() });
    await receiver.take(first);
    await receiver.take(third);
    expect([receiver.state(first.id), receiver.state(third.id)]).toEqual(['published', 'published']);
    if (when === 'after a restart') receiver.restart();
    // By a key whose window ended with 2, say: it counts for this number still.
    const forged = seal({ sequence: 2, previous: first.id, ...some() });
    await receiver.take(forged);
    expect(receiver.state(forged.id)).toBe('quarantined: chain-mismatch');
    await receiver.take(second);
    expect(receiver.state(second.id)).toBe('published');
  },
);
