import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Bundle, digestOf, fileOf, seal } from './bundles.ts';
import { expectRefused, Receiver } from './receiver.ts';

const KIB = 1024;
const small = (): Buffer => randomBytes(2000);
const large = (): Buffer => randomBytes(300 * KIB);

describe('a bundle that holds', () => {
  it('is published whole, whatever comes first', async () => {
    const orders: ((bundle: Bundle) => Bundle['objects'])[] = [
      ({ transport, release, objects }) => [transport, release, ...objects],
      ({ transport, release, objects }) => [...objects, release, transport],
      ({ transport, release, objects }) => [release, ...objects, transport],
      ({ transport, release, objects }) => [transport, ...objects, release],
    ];
    for (const order of orders) {
      const receiver = await Receiver.open();
      const bundle = seal({ sequence: 1, blobs: [small(), small(), large()] });
      for (const piece of order(bundle)) await receiver.arrive(piece);
      await receiver.settled();
      expect(receiver.state(bundle.id)).toBe('published');
      expect(receiver.published).toEqual([bundle.id]);
      const wanted = [bundle.id, bundle.release.digest, ...bundle.blobs.map(digestOf)].sort();
      expect(await receiver.stored()).toEqual(wanted);
      for (const digest of wanted) expect(digestOf(await receiver.store.readVerified(digest, 2 ** 20))).toBe(digest);
      expect(receiver.spooled()).toEqual([]);
    }
  });

  it('blobs get leave only once both statements hold, and nothing is published before all came', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [small(), large()] });
    const [pack, blob] = bundle.objects;
    await receiver.arrive(bundle.transport);
    // The release that it names may come, also where an earlier bundle brought it already.
    const first = { type: 'allow', channel: 'prod', digests: [bundle.release.digest] };
    expect(receiver.said).toEqual([first]);
    await receiver.arrive(bundle.release);
    const leave = { type: 'allow', channel: 'prod', digests: bundle.objects.map((o) => o.digest) };
    expect(receiver.said).toEqual([first, leave]);
    await receiver.arrive(pack!);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('receiving');
    expect(await receiver.stored()).toEqual([]);
    expect(
      receiver.pipeline.open.map(({ transport, missing }) => transport.statement.objects.length - missing.size),
    ).toEqual([1]);
    await receiver.arrive(blob!);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
    expect(receiver.pipeline.open).toEqual([]);
  });

  it('comes again, in part or whole, and is published once', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [small(), large()] });
    const pieces = [bundle.transport, bundle.release, ...bundle.objects];
    for (const piece of [...pieces, ...pieces.toReversed()]) await receiver.arrive(piece);
    await receiver.settled();
    const { length } = await receiver.stored();
    receiver.restart();
    await receiver.take(bundle);
    expect(receiver.published).toEqual([bundle.id]);
    expect(receiver.ledger.events.about(bundle.id).map(({ kind }) => kind)).toEqual(['received', 'published']);
    expect(await receiver.stored()).toHaveLength(length);
    expect(receiver.state(bundle.id)).toBe('published');
    // Nothing of it keeps room in the spool, statements included.
    expect(receiver.spooled()).toEqual([]);
  });

  it('is taken up after an end of the process at any point', async () => {
    const bundle = seal({ sequence: 1, blobs: [small(), large(), large()] });
    const pieces = [bundle.transport, bundle.release, ...bundle.objects];
    for (let cut = 0; cut <= pieces.length; cut += 1) {
      const receiver = await Receiver.open();
      for (const piece of pieces.slice(0, cut)) await receiver.arrive(piece);
      await receiver.settled();
      receiver.restart();
      // Link names what lies in its spool; the rest comes with the next pass.
      for (const piece of pieces) await receiver.arrive(piece);
      await receiver.settled();
      expect(receiver.state(bundle.id), `cut ${cut}`).toBe('published');
      expect(receiver.ledger.events.about(bundle.id).filter(({ kind }) => kind === 'published')).toHaveLength(1);
    }
  });

  it('takes blobs that the store has already as there, and packs as they come', async () => {
    const receiver = await Receiver.open();
    const [shared, packed] = [large(), small()];
    const first = seal({ sequence: 1, blobs: [shared, packed] });
    await receiver.take(first);
    const second = seal({ sequence: 2, previous: first.id, blobs: [shared, packed, large()] });
    await receiver.statements(second);
    for (const object of second.objects) if (object.digest !== digestOf(shared)) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.state(second.id)).toBe('published');
  });
});

describe('objects that lie', () => {
  it('are forgotten and wanted again; the bundle waits and is whole with the next pass', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [small(), large()] });
    const [pack, blob] = bundle.objects as [Bundle['release'], Bundle['release']];
    const liesAbout = (piece: Bundle['release']): Buffer => {
      const bytes = Buffer.from(piece.bytes);
      bytes[bytes.length - 1]! ^= 1;
      return bytes;
    };
    for (const piece of [bundle.transport, bundle.release, pack, blob]) {
      await receiver.arrive(piece, { lie: liesAbout(piece) });
      await receiver.settled();
      expect(receiver.ledger.bundle(piece.digest)?.state).not.toBe('quarantined');
      if (piece !== pack) expect(receiver.told(piece.digest).at(-1)).toBe('forget');
      if (piece !== pack && piece !== blob) await receiver.arrive(piece);
    }
    // Both were found in one look.
    expect(receiver.told(pack.digest)).toEqual(['allow', 'forget']);
    expect(receiver.state(bundle.id)).toBe('receiving');
    await receiver.arrive(blob);
    await receiver.arrive(pack);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it('a size or type that link was told by whoever has its key is not held against the bundle', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [large()] });
    const [blob] = bundle.objects as [Bundle['release']];
    await receiver.statements(bundle);
    await receiver.arrive(blob, { lie: randomBytes(5) });
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('receiving');
    expect(receiver.told(blob.digest).at(-1)).toBe('forget');
    await receiver.arrive({ ...blob, contentType: 'application/x-tar' });
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it('a transport statement that lies about the size of an object is refused', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({
      sequence: 1,
      blobs: [large()],
      statement: (s) => ({ ...s, objects: s.objects.map((object) => ({ ...object, size: object.size + 1 })) }),
    });
    await receiver.take(bundle);
    await expectRefused(receiver, bundle, 'size-mismatch');
  });
});

describe('sequence and chain', () => {
  it('a number that is taken is not given again, and the bundle that has it goes on', async () => {
    const receiver = await Receiver.open();
    const first = seal({ sequence: 1, blobs: [small()] });
    const second = seal({ sequence: 1, blobs: [large()] });
    await receiver.statements(first);
    await receiver.statements(second);
    await expectRefused(receiver, second, 'sequence-repeated');
    // What comes of it is not kept.
    for (const object of second.objects) await receiver.arrive(object);
    expect(receiver.told(second.objects[0]!.digest)).toEqual(['settle']);
    expect(receiver.told(second.release.digest)).toEqual(['settle']);
    await receiver.take(first);
    expect(receiver.state(first.id)).toBe('published');
    await receiver.take(seal({ sequence: 1, blobs: [small()] }));
    expect(receiver.published).toEqual([first.id]);
  });

  it('a statement that follows another head is refused, one after a gap is taken and the gap is named', async () => {
    const receiver = await Receiver.open();
    const first = seal({ sequence: 1, blobs: [small()] });
    await receiver.take(first);
    const foreign = seal({ sequence: 2, previous: digestOf(Buffer.from('other')), blobs: [small()] });
    await receiver.take(foreign);
    await expectRefused(receiver, foreign, 'chain-mismatch');

    const second = seal({ sequence: 2, previous: first.id, blobs: [small()] });
    const third = seal({ sequence: 3, previous: second.id, blobs: [small()] });
    const fourth = seal({ sequence: 4, previous: third.id, blobs: [small()] });
    await receiver.take(fourth);
    expect(receiver.state(fourth.id)).toBe('published');
    expect(receiver.ledger.missing('prod', 10)).toEqual([2, 3]);
    await receiver.take(third);
    await receiver.take(second);
    expect(receiver.ledger.missing('prod', 10)).toEqual([]);
    expect(receiver.published).toEqual([fourth.id, third.id, second.id].toSpliced(0, 0, first.id));
  });

  it('each channel counts for itself', async () => {
    const receiver = await Receiver.open();
    const prod = seal({ sequence: 1, blobs: [small()] });
    const lab = seal({ sequence: 1, channel: 'lab', blobs: [small()] });
    await receiver.take(prod);
    for (const piece of [lab.transport, lab.release, ...lab.objects]) await receiver.arrive(piece, { channel: 'lab' });
    await receiver.settled();
    expect([receiver.state(prod.id), receiver.state(lab.id)]).toEqual(['published', 'published']);
  });

  it('a bundle refused by another channel is still new to its own; a published one shown to another changes nothing', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [small()] });
    await receiver.arrive(bundle.transport, { channel: 'lab' });
    expect(receiver.state(bundle.id)).toBe('quarantined: channel-mismatch');
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    expect(receiver.ledger.takenBy('prod', 1)).toBe(bundle.id);
    await receiver.statements(bundle, 'lab');
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
    expect(receiver.ledger.takenBy('lab', 1)).toBeUndefined();
  });

  it('two bundles with one version: the one that is published first wins, also when both were under way', async () => {
    const receiver = await Receiver.open();
    const [one, other] = [small(), small()];
    const versioned = (bytes: Buffer, version: number) => [fileOf(bytes, 'db', { version })];
    const first = seal({ sequence: 1, blobs: [one], artifacts: versioned(one, 7) });
    const second = seal({ sequence: 2, previous: first.id, blobs: [other], artifacts: versioned(other, 7) });
    await receiver.statements(first);
    await receiver.statements(second);
    for (const { objects } of [second, first]) for (const object of objects) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.state(second.id)).toBe('published');
    await expectRefused(receiver, first, 'version-not-newer');
    const third = seal({ sequence: 3, previous: second.id, blobs: [one], artifacts: versioned(one, 6) });
    await receiver.take(third);
    await expectRefused(receiver, third, 'version-not-newer');
  });
});

describe('a release that two bundles bring', () => {
  it('is published by the first that is whole; the other is refused at once, whatever of it is missing', async () => {
    const receiver = await Receiver.open();
    const first = seal({ sequence: 1, blobs: [small(), large()] });
    const second = seal({
      sequence: 2,
      previous: first.id,
      blobs: [...first.blobs, large()],
      statement: (statement) => ({
        ...statement,
        release: { digest: first.release.digest, size: first.release.bytes.length },
      }),
    });
    await receiver.statements(first);
    await receiver.arrive(second.transport);
    await receiver.settled();
    for (const object of first.objects.slice(0, 1)) await receiver.arrive(object);
    await receiver.settled();
    expect([receiver.state(first.id), receiver.state(second.id)]).toEqual(['receiving', 'receiving']);
    for (const object of first.objects.slice(1)) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.state(first.id)).toBe('published');
    expect(receiver.state(second.id)).toBe('quarantined: release-repeated');
  });
});

describe('bundles that share objects', () => {
  it('the mended one after a refused one gets the same blobs again', async () => {
    const receiver = await Receiver.open({ policy: { paths: ['good/**'] } });
    const [a, b] = [small(), large()];
    const placed = (dir: string) => [fileOf(a, `${dir}/a`), fileOf(b, `${dir}/b`)];
    const refused = seal({ sequence: 1, blobs: [a, b], artifacts: placed('bad') });
    await receiver.take(refused);
    await expectRefused(receiver, refused, 'repository-not-allowed');
    expect(receiver.told(digestOf(b))).toEqual(['settle']);
    // Of the next one nothing but the statements has come when the mended one begins.
    const again = seal({ sequence: 2, previous: refused.id, blobs: [a, b], artifacts: placed('worse') });
    await receiver.statements(again);
    await expectRefused(receiver, again, 'repository-not-allowed');
    const mended = seal({ sequence: 3, previous: again.id, blobs: [a, b], artifacts: placed('good') });
    await receiver.take(mended);
    expect(receiver.state(mended.id)).toBe('published');
  });

  it('a new release of what was published before, packs and all', async () => {
    const receiver = await Receiver.open();
    const blobs = [small(), large()];
    const artifacts = (dir: string) => blobs.map((bytes, i) => fileOf(bytes, `${dir}/${i}`));
    const first = seal({ sequence: 1, blobs, artifacts: artifacts('a') });
    await receiver.take(first);
    const second = seal({ sequence: 2, previous: first.id, blobs, artifacts: artifacts('b') });
    await receiver.take(second);
    expect(receiver.state(second.id)).toBe('published');
  });

  it('what another bundle published meanwhile need not come, nor be there still when link starts anew', async () => {
    for (const hasCome of [false, true]) {
      const receiver = await Receiver.open();
      const shared = large();
      const first = seal({ sequence: 1, blobs: [small(), shared] });
      const second = seal({ sequence: 2, previous: first.id, blobs: [small(), shared] });
      const [pack, blob] = second.objects as [Bundle['release'], Bundle['release']];
      await receiver.statements(second);
      if (hasCome) await receiver.arrive(blob);
      await receiver.settled();
      await receiver.take(first);
      expect(receiver.state(first.id)).toBe('published');
      receiver.pipeline.linkConnected();
      expect(receiver.state(second.id)).toBe('receiving');
      await receiver.arrive(pack);
      await receiver.settled();
      expect(receiver.state(second.id)).toBe('published');
    }
  });

  it('two under way at once: the end of one takes nothing from the other', async () => {
    const receiver = await Receiver.open({ policy: { paths: ['good/**'] } });
    const [a, b, c] = [small(), large(), large()];
    const first = seal({ sequence: 1, blobs: [a, b, c], artifacts: [a, b, c].map((x, i) => fileOf(x, `good/${i}`)) });
    const second = seal({
      sequence: 2,
      previous: first.id,
      blobs: [a, b],
      artifacts: [fileOf(a, 'bad/a'), fileOf(b, 'bad/b')],
    });
    await receiver.statements(first);
    for (const object of first.objects.slice(0, 2)) await receiver.arrive(object);
    await receiver.statements(second);
    await expectRefused(receiver, second, 'repository-not-allowed');
    await receiver.arrive(first.objects[2]!);
    await receiver.settled();
    expect(receiver.state(first.id)).toBe('published');
  });
});

describe('link', () => {
  it('that starts anew is given leave for what is under way once more', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [small(), large()] });
    const waiting = seal({ sequence: 2, previous: bundle.id, blobs: [large()] });
    await receiver.statements(bundle);
    await receiver.arrive(waiting.transport);
    receiver.said.length = 0;
    receiver.pipeline.linkConnected();
    expect(receiver.said).toEqual([{ type: 'allow', channel: 'prod', digests: bundle.objects.map((o) => o.digest) }]);
    // It has what it has, and says so.
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it('leave for a bundle of many objects comes in messages that link takes', async () => {
    const receiver = await Receiver.open();
    const objects = Array.from({ length: 1201 }, (_, n) => ({
      digest: digestOf(Buffer.from(`object ${n}`)),
      size: 300_000,
      contentType: 'application/octet-stream' as const,
    }));
    const bundle = seal({ sequence: 1, blobs: [small()], statement: (statement) => ({ ...statement, objects }) });
    await receiver.statements(bundle);
    const allowed = receiver.said.flatMap((message) => (message.type === 'allow' ? [message.digests] : []));
    // The first is for the release.
    expect(allowed.map(({ length }) => length)).toEqual([1, 500, 500, 201]);
    expect(allowed.flat()).toEqual([bundle.release.digest, ...objects.map(({ digest }) => digest)]);
  });

  it('what comes by a channel that is not configured is left alone', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, channel: 'dev', blobs: [small()] });
    await receiver.statements(bundle, 'dev');
    expect(receiver.said).toEqual([]);
    expect(receiver.ledger.list(10).bundles).toEqual([]);
  });

  it('names a file that is not there: it is gathered again, and the bundle waits for it', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [large()] });
    await receiver.statements(bundle);
    const [blob] = bundle.objects as [Bundle['release']];
    await receiver.pipeline.object(receiver.named(blob));
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('receiving');
    expect(receiver.told(blob.digest).at(-1)).toBe('forget');
    await receiver.arrive(blob);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('published');
  });
});
