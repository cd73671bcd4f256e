import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePack } from '@sluice/bundle';
import { type Digest, hexOf, ok, refuse } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { Gaps } from '../src/gaps.ts';
import { image } from './images.ts';
import { type Bundle, digestOf, fileOf, type Piece, pieceOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const PACK = 'application/x-tar';
const BLOB = 'application/octet-stream';
const KIB = 1024;

/** Two packs of two files each, and a large file. */
function bundleOfPacks(sequence = 1) {
  const small = Array.from({ length: 4 }, () => randomBytes(900));
  const large = randomBytes(300 * KIB);
  const packs = [small.slice(0, 2), small.slice(2)].map(packWith);
  const bundle = seal({
    sequence,
    blobs: [...small, large],
    objects: () => [...packs, pieceOf(large, BLOB)],
  });
  return { bundle, small, large, packs };
}

function packWith(blobs: readonly Buffer[]): Piece {
  const members = blobs.map((bytes) => ({ digest: digestOf(bytes), bytes }));
  return pieceOf(writePack(members.toSorted(byDigest)), PACK);
}

const byDigest = (a: { digest: Digest }, b: { digest: Digest }): number => (a.digest < b.digest ? -1 : 1);
const blobPath = ({ dir }: Receiver, digest: Digest): string => join(dir, 'store/blobs/sha256', hexOf(digest));

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

/** One bit of a packed blob turns over. */
function flipPacked({ dir }: Receiver, pack: Piece, blob: Uint8Array): void {
  flip(join(dir, 'store/packs/sha256', hexOf(pack.digest)), Buffer.from(pack.bytes).indexOf(blob));
}

/** The importer says, with its signature, that the store did not give it what it should. */
async function failed(receiver: Receiver, { id }: Bundle, code = 'digest-mismatch'): Promise<void> {
  receiver.ledger.recordReceipt(id, 'failed', code, Buffer.from('signed'));
  await receiver.pipeline.doubt(id);
}

const gapsOf = (receiver: Receiver): Gaps =>
  new Gaps({
    channels: ['prod'],
    open: () => receiver.pipeline.open,
    missing: { of: () => [] } as never,
    ledger: receiver.ledger,
    spoolDirectory: join(receiver.dir, 'spool'),
  });

const lacking = (receiver: Receiver): readonly Digest[] =>
  receiver.pipeline.open.flatMap(({ missing }) => [...missing]);

async function expectWhole(receiver: Receiver, bundle: Bundle): Promise<void> {
  await receiver.settled();
  expect(receiver.state(bundle.id)).toBe('published');
  expect(receiver.ledger.outbox().map(({ bundle: id }) => id)).toContain(bundle.id);
  for (const bytes of [...bundle.blobs, bundle.transport.bytes, bundle.release.bytes])
    expect(Buffer.from(bytes).equals(await receiver.store.readVerified(digestOf(bytes), bytes.length))).toBe(true);
  expect(receiver.pipeline.open).toEqual([]);
}

describe('a blob that rotted in the store before its import', () => {
  it.each<[string, (path: string) => void]>([
    ['has a bit turned over', (path) => flip(path, 1000)],
    ['is shorter', (path) => truncateSync(path, 1000)],
    ['is gone', (path) => rmSync(path)],
  ])('comes again when it %s, alone, and the import goes on', async (_what, rot) => {
    const receiver = await Receiver.open();
    const { bundle, large } = bundleOfPacks();
    await receiver.take(bundle);
    rot(blobPath(receiver, digestOf(large)));
    await failed(receiver, bundle);
    expect(receiver.state(bundle.id)).toBe('receiving: store-damaged');
    expect(receiver.ledger.outbox()).toEqual([]);
    expect(lacking(receiver)).toEqual([digestOf(large)]);
    expect(receiver.told(digestOf(large)).at(-1)).toBe('allow');
    expect(receiver.ledger.events.about(bundle.id).at(-1)).toMatchObject({
      kind: 'damaged',
      body: { blobs: [digestOf(large)], count: 1 },
    });
    await receiver.arrive(bundle.objects[2]!);
    await expectWhole(receiver, bundle);
    expect(receiver.published).toEqual([bundle.id, bundle.id]);
    expect(receiver.spooled()).toEqual([]);
  });

  it('is kept apart', async () => {
    const receiver = await Receiver.open();
    const { bundle, large } = bundleOfPacks();
    await receiver.take(bundle);
    flip(blobPath(receiver, digestOf(large)), 5);
    await failed(receiver, bundle);
    expect(readdirSync(join(receiver.dir, 'store/damaged'))).toEqual([hexOf(digestOf(large))]);
  });

  it('comes again with its pack and no other, and a ticket names that alone', async () => {
    const receiver = await Receiver.open();
    const { bundle, small, packs } = bundleOfPacks();
    await receiver.take(bundle);
    flipPacked(receiver, packs[1]!, small[3]!);
    await failed(receiver, bundle);
    expect(lacking(receiver)).toEqual([packs[1]!.digest]);
    const gaps = gapsOf(receiver);
    const [incomplete] = gaps.list();
    expect((await gaps.of(incomplete!)).objects).toEqual([{ object: 3, blocks: 'all' }]);
    await receiver.arrive(packs[1]!);
    await expectWhole(receiver, bundle);
  });

  it('is looked for in its statements, too: they come again with the next pass, and what holds does not', async () => {
    for (const which of ['transport', 'release'] as const) {
      const receiver = await Receiver.open();
      const { bundle } = bundleOfPacks();
      await receiver.take(bundle);
      flip(blobPath(receiver, bundle[which].digest), 40);
      await receiver.pipeline.doubt(bundle.id);
      expect(receiver.state(bundle.id)).toBe('receiving: store-damaged');
      expect(gapsOf(receiver).list()).toEqual([
        { channel: 'prod', sequence: 1, bundle: bundle.id, underWay: undefined },
      ]);
      expect(receiver.told(bundle.id).at(-1)).toBe('allow');
      receiver.pipeline.linkConnected();
      expect(receiver.told(bundle.release.digest).at(-1)).toBe('allow');
      await receiver.statements(bundle);
      await expectWhole(receiver, bundle);
      expect(gapsOf(receiver).list()).toEqual([]);
    }
  });

  it('is mended, and then its statements rot, which had come from the store that time', async () => {
    for (const which of ['transport', 'release'] as const) {
      const receiver = await Receiver.open();
      const { bundle, large } = bundleOfPacks();
      await receiver.take(bundle);
      flip(blobPath(receiver, digestOf(large)), 5);
      await failed(receiver, bundle);
      await receiver.arrive(bundle.objects[2]!);
      await expectWhole(receiver, bundle);
      flip(blobPath(receiver, bundle[which].digest), 40);
      await receiver.pipeline.doubt(bundle.id);
      expect(receiver.state(bundle.id)).toBe('receiving: store-damaged');
      await receiver.statements(bundle);
      await expectWhole(receiver, bundle);
    }
  });

  it('is found in the other statement, should it rot while both come again', async () => {
    for (const which of ['transport', 'release'] as const) {
      const receiver = await Receiver.open();
      const { bundle } = bundleOfPacks();
      await receiver.take(bundle);
      rmSync(blobPath(receiver, bundle.transport.digest));
      await receiver.pipeline.doubt(bundle.id);
      writeFileSync(blobPath(receiver, bundle[which].digest), Buffer.alloc(bundle[which].bytes.length));
      await receiver.statements(bundle);
      await expectWhole(receiver, bundle);
    }
  });

  it('is remembered over a restart', async () => {
    const receiver = await Receiver.open();
    const { bundle, large } = bundleOfPacks();
    await receiver.take(bundle);
    flip(blobPath(receiver, digestOf(large)), 5);
    receiver.ledger.recordReceipt(bundle.id, 'failed', 'digest-mismatch', Buffer.from('signed'));
    for (let start = 0; start < 2; start += 1) {
      receiver.restart();
      receiver.pipeline.resume();
      await receiver.settled();
      expect(lacking(receiver)).toEqual([digestOf(large)]);
    }
    await receiver.arrive(bundle.objects[2]!);
    await expectWhole(receiver, bundle);
  });

  it('is found below a manifest that rotted with it, one after the other', async () => {
    const receiver = await Receiver.open();
    const { blobs, artifact, layers, manifests } = image();
    const [above, below] = [blobs.slice(0, 3), blobs.slice(3).filter((blob) => blob !== layers[0])].map(packWith);
    const objects = [above!, below!, pieceOf(layers[0], BLOB)];
    const bundle = seal({ sequence: 1, blobs, artifacts: [artifact], objects: () => objects });
    await receiver.take(bundle);
    flipPacked(receiver, above!, manifests[0]!);
    flipPacked(receiver, below!, layers[1]);
    rmSync(blobPath(receiver, digestOf(layers[0])));
    await failed(receiver, bundle);
    // What a damaged manifest names in a pack is not known before it has come again.
    expect(lacking(receiver)).toEqual([above!.digest, objects[2]!.digest]);
    await receiver.arrive(above!);
    await receiver.arrive(objects[2]!);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('receiving: store-damaged');
    expect(lacking(receiver)).toEqual([below!.digest]);
    await receiver.arrive(below!);
    await expectWhole(receiver, bundle);
  });

  it('is no reason to refuse the bundle for its own version, nor a result that comes late', async () => {
    const receiver = await Receiver.open();
    const blob = randomBytes(300 * KIB);
    const artifacts = [fileOf(blob, 'db', { version: 7 })];
    const bundle = seal({ sequence: 1, blobs: [blob], artifacts });
    await receiver.take(bundle);
    flip(blobPath(receiver, digestOf(blob)), 5);
    await failed(receiver, bundle);
    expect(receiver.ledger.recordReceipt(bundle.id, 'failed', 'digest-mismatch', Buffer.from('late'))).toBe(true);
    expect(receiver.state(bundle.id)).toBe('receiving: store-damaged');
    await receiver.arrive(bundle.objects[0]!);
    await expectWhole(receiver, bundle);
  });
});

describe('a bundle that is mended', () => {
  it('is refused when a key that signed it was revoked meanwhile', async () => {
    let revoked = false;
    const stands = () => (revoked ? refuse('key-revoked', 'it was stolen') : ok(undefined));
    const receiver = await Receiver.open({ stands });
    const { bundle, large } = bundleOfPacks();
    await receiver.take(bundle);
    flip(blobPath(receiver, digestOf(large)), 5);
    await failed(receiver, bundle);
    revoked = true;
    await receiver.arrive(bundle.objects[2]!);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('quarantined: key-revoked');
    expect(receiver.published).toEqual([bundle.id]);
  });
});

describe('a bundle of which all holds', () => {
  const refusedAgain = async (receiver: Receiver, bundle: Bundle): Promise<string | undefined> => {
    await failed(receiver, bundle);
    await receiver.settled();
    return receiver.state(bundle.id);
  };

  it('is imported anew when the importer says otherwise, but not for ever', async () => {
    const receiver = await Receiver.open();
    const { bundle } = bundleOfPacks();
    await receiver.take(bundle);
    for (let n = 0; n < 2; n += 1) expect(await refusedAgain(receiver, bundle)).toBe('published');
    expect(receiver.published).toEqual([bundle.id, bundle.id, bundle.id]);
    await expectWhole(receiver, bundle);
    expect(await refusedAgain(receiver, bundle)).toBe('failed: digest-mismatch');
    expect(await refusedAgain(receiver, bundle)).toBe('failed: digest-mismatch');
  });

  it('since what was damaged lies in a pack of another, too, is imported anew whatever went before', async () => {
    const receiver = await Receiver.open();
    const [blob, other] = [randomBytes(900), randomBytes(900)];
    const bundle = seal({ sequence: 1, blobs: [blob], objects: () => [pieceOf(blob, BLOB)] });
    const second = { sequence: 2, previous: bundle.id, blobs: [blob, other] };
    await receiver.take(bundle);
    await receiver.take(seal({ ...second, objects: () => [packWith([blob, other])] }));
    for (let n = 0; n < 3; n += 1) await refusedAgain(receiver, bundle);
    expect(receiver.state(bundle.id)).toBe('failed: digest-mismatch');
    flip(blobPath(receiver, digestOf(blob)), 5);
    expect(await refusedAgain(receiver, bundle)).toBe('published');
    await expectWhole(receiver, bundle);
  });

  it('is not looked for after a restart once it went from the store', async () => {
    const receiver = await Receiver.open();
    const { bundle } = bundleOfPacks();
    await receiver.take(bundle);
    receiver.ledger.recordReceipt(bundle.id, 'failed', 'digest-mismatch', Buffer.from('signed'));
    receiver.ledger.keeping.dropped(bundle.id, { why: 'age' });
    rmSync(blobPath(receiver, bundle.id));
    receiver.pipeline.resume();
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('failed: digest-mismatch');
  });

  it('stays what it was when nobody gave it up', async () => {
    const receiver = await Receiver.open();
    const { bundle } = bundleOfPacks();
    await receiver.take(bundle);
    await receiver.pipeline.doubt(bundle.id);
    expect(receiver.state(bundle.id)).toBe('published');
    receiver.ledger.recordReceipt(bundle.id, 'imported', 'ok', Buffer.from('signed'));
    rmSync(blobPath(receiver, bundle.id));
    await receiver.pipeline.doubt(bundle.id);
    expect(receiver.state(bundle.id)).toBe('imported');
    await receiver.pipeline.doubt(digestOf(Buffer.from('nobody')));
    expect(receiver.pipeline.open).toEqual([]);
  });
});
