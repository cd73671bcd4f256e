import { randomBytes } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

it('a release in which a bit turned over while it waited for its bundle is wanted again, and refuses nothing', async () => {
  const receiver = await Receiver.open();
  const bundle = seal({ sequence: 1, blobs: [randomBytes(2000)] });
  const { release, transport, objects } = bundle;
  const object = receiver.named(release);
  const lay = (bytes: Uint8Array): void => {
    writeFileSync(object.path, bytes);
    // The disk does not tell.
    utimesSync(object.path, 1000, 1000);
  };
  lay(release.bytes);
  await receiver.pipeline.object(object);
  await receiver.settled();
  const rotten = Buffer.from(release.bytes);
  rotten[rotten.length >>> 1]! ^= 1;
  lay(rotten);
  await receiver.arrive(transport);
  await receiver.settled();
  expect(receiver.state(bundle.id)).toBe('receiving');
  expect(receiver.told(release.digest).at(-1)).toBe('forget');
  for (const piece of [release, ...objects]) await receiver.arrive(piece);
  await receiver.settled();
  expect(receiver.state(bundle.id)).toBe('published');
});
