import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import { describe, expect, it, vi } from 'vitest';
import { digestOf, pieceOf, seal } from './bundles.ts';
import { image } from './images.ts';
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

it.each(['transport', 'release'] as const)(
  'a %s statement whose file is gone when it is judged is wanted again',
  async (which) => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(2000)] });
    const lost = bundle[which];
    const other = bundle[which === 'release' ? 'transport' : 'release'];
    await receiver.arrive(other);
    await receiver.pipeline.object(receiver.named(lost));
    await receiver.settled();
    expect(receiver.told(lost.digest).at(-1)).toBe('forget');
    for (const piece of [lost, ...bundle.objects]) await receiver.arrive(piece);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  },
);

it(
  'a pack in which a bit turned over after it was hashed is hashed anew, and wanted again',
  { timeout: 20_000 },
  async () => {
    const { transport, release, objects, id } = seal({ sequence: 1, blobs: [randomBytes(2000)] });
    const [pack] = objects as [(typeof objects)[number]];
    const rotten = Buffer.from(pack.bytes);
    rotten[600]! ^= 1;
    const files = { rot: '', path: '' };
    const script = 'if [ -f "$1" ]; then cp "$1" "$2" && touch -d @1000 "$2" && rm "$1"; fi';
    // A gate has its say after all was hashed and before anything is stored: so long the bit waits. The disk does not tell.
    const command: string[] = ['sh', '-c', script, 'sh'];
    const receiver = await Receiver.open({ gates: [{ name: 'slow', command, timeoutMs: 10_000 }] });
    const object = receiver.named(pack);
    Object.assign(files, { rot: `${receiver.dir}/rotten`, path: object.path });
    command.push(files.rot, files.path);
    writeFileSync(files.rot, rotten);
    writeFileSync(object.path, pack.bytes);
    utimesSync(object.path, 1000, 1000);
    for (const piece of [transport, release]) await receiver.arrive(piece);
    await receiver.pipeline.object(object);
    await vi.waitFor(() => expect(receiver.told(pack.digest).at(-1)).toBe('forget'), {
      timeout: 15_000,
      interval: 100,
    });
    expect(receiver.state(id)).toBe('receiving');
    await receiver.arrive(pack);
    await receiver.settled();
    expect(receiver.state(id)).toBe('published');
  },
);

describe('a manifest that rotted in the store before its bundle was published', () => {
  const ofImage = () => {
    const { blobs, artifact, manifests } = image();
    const objects = blobs.map((bytes) => pieceOf(bytes, 'application/octet-stream'));
    const bundle = seal({ sequence: 1, blobs, artifacts: [artifact], objects: () => objects });
    const rotten = Buffer.from(manifests[0]!);
    rotten[20]! ^= 1;
    const manifest = objects.find(({ digest }) => digest === digestOf(manifests[0]!))!;
    return { bundle, manifest, others: objects.filter((object) => object !== manifest), rotten };
  };
  const inStore = ({ dir }: Receiver, digest: Digest): string => join(dir, 'store/blobs/sha256', hexOf(digest));
  const isDamaged = (receiver: Receiver): Promise<void> =>
    vi.waitFor(() => expect(receiver.log.join('')).toContain('blobs that the bundle found in the store are damaged'));

  it('comes again when an earlier bundle had brought it', async () => {
    const receiver = await Receiver.open();
    const { bundle, manifest, others, rotten } = ofImage();
    await receiver.store.put(manifest.digest, manifest.bytes.length, manifest.bytes);
    writeFileSync(inStore(receiver, manifest.digest), rotten);
    await receiver.statements(bundle);
    for (const object of others) await receiver.arrive(object);
    await isDamaged(receiver);
    await receiver.settled();
    expect(receiver.pipeline.open.flatMap(({ missing }) => [...missing])).toEqual([manifest.digest]);
    expect(receiver.told(manifest.digest).at(-1)).toBe('allow');
    await receiver.arrive(manifest);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
    expect(Buffer.from(await receiver.store.readVerified(manifest.digest, 2 ** 20)).equals(manifest.bytes)).toBe(true);
  });

  it('comes again when an earlier try had taken it from the spool, and link is told that it is not there', async () => {
    const receiver = await Receiver.open();
    const { bundle, manifest, others, rotten } = ofImage();
    await receiver.statements(bundle);
    for (const object of [manifest, ...others.slice(1)]) await receiver.arrive(object);
    await receiver.settled();
    const place = inStore(receiver, manifest.digest);
    mkdirSync(dirname(place), { recursive: true });
    renameSync(receiver.named(manifest).path, place);
    writeFileSync(place, rotten);
    await receiver.arrive(others[0]!);
    await isDamaged(receiver);
    await receiver.settled();
    expect(receiver.told(manifest.digest).slice(-2)).toEqual(['forget', 'allow']);
    await receiver.arrive(manifest);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  });
});

describe('a published bundle that lacks something in the store', () => {
  const published = async () => {
    const receiver = await Receiver.open();
    const { blobs, artifact, manifests } = image();
    const objects = blobs.map((bytes) => pieceOf(bytes, 'application/octet-stream'));
    const bundle = seal({ sequence: 1, blobs, artifacts: [artifact], objects: () => objects });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    const manifest = objects.find(({ digest }) => digest === digestOf(manifests[0]!))!;
    const layer = objects.find(({ bytes }) => !manifests.some((each) => each.equals(bytes)))!;
    const rot = ({ digest, bytes }: typeof layer): void => {
      const rotten = Buffer.from(bytes);
      rotten[20]! ^= 1;
      writeFileSync(join(receiver.dir, 'store/blobs/sha256', hexOf(digest)), rotten);
    };
    const missing = (): Digest[] => receiver.pipeline.open.flatMap((each) => [...each.missing]);
    return { receiver, bundle, manifest, layer, rot, missing };
  };

  it('is looked at again when the ledger could not take what was found', async () => {
    const { receiver, bundle, layer, rot, missing } = await published();
    rot(layer);
    vi.spyOn(receiver.ledger.keeping, 'reopen').mockImplementationOnce(() => {
      throw Object.assign(new Error('simulated'), { code: 'ledger-io' });
    });
    await receiver.pipeline.doubt(bundle.id);
    expect(receiver.state(bundle.id)).toBe('published');
    expect(receiver.pipeline.open).toEqual([]);
    await receiver.pipeline.doubt(bundle.id);
    expect(receiver.state(bundle.id)).toBe('receiving: store-damaged');
    expect(missing()).toEqual([layer.digest]);
    await receiver.arrive(layer);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it(
    'is looked at again when the ledger could not take what was found as its statements came again',
    { timeout: 20_000 },
    async () => {
      const { receiver, bundle, layer, rot, missing } = await published();
      rot(layer);
      rot(bundle.transport);
      await receiver.pipeline.doubt(bundle.id);
      expect(receiver.told(bundle.id).at(-1)).toBe('allow');
      vi.spyOn(receiver.ledger.keeping, 'reopen').mockImplementationOnce(() => {
        throw Object.assign(new Error('simulated'), { code: 'ledger-io' });
      });
      await receiver.statements(bundle);
      await vi.waitFor(() => expect(missing()).toEqual([layer.digest]), { timeout: 10_000, interval: 100 });
      expect(receiver.told(layer.digest).at(-1)).toBe('allow');
      await receiver.arrive(layer);
      await receiver.settled();
      expect(receiver.state(bundle.id)).toBe('published');
    },
  );

  it('lacks what link has it by name alone: the store took the file, and has lost it since', async () => {
    const { receiver, bundle, layer, rot, missing } = await published();
    rot(layer);
    await receiver.pipeline.doubt(bundle.id);
    await receiver.pipeline.object(receiver.named(layer));
    await receiver.settled();
    expect(receiver.told(layer.digest).at(-1)).toBe('forget');
    expect(missing()).toEqual([layer.digest]);
    await receiver.arrive(layer);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it('lacks also what rots while it waits, though it was hashed and held', async () => {
    const { receiver, bundle, manifest, layer, rot, missing } = await published();
    rot(layer);
    await receiver.pipeline.doubt(bundle.id);
    expect(missing()).toEqual([layer.digest]);
    rot(manifest);
    await receiver.arrive(layer);
    await receiver.settled();
    expect(missing()).toEqual([manifest.digest]);
    expect(receiver.told(manifest.digest).at(-1)).toBe('allow');
    await receiver.arrive(manifest);
    await receiver.settled();
    await vi.waitFor(() => expect(receiver.state(bundle.id)).toBe('published'), { timeout: 10_000, interval: 100 });
    for (const { digest, bytes } of [manifest, layer])
      expect(Buffer.from(await receiver.store.readVerified(digest, 2 ** 20)).equals(bytes)).toBe(true);
  });
});
