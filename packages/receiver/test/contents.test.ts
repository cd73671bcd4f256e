import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Artifact, OCI_INDEX, OCI_MANIFEST, writePack } from '@sluice/bundle';
import { type Bundle, digestOf, pieceOf, seal, fileOf } from './bundles.ts';
import { image, json } from './images.ts';
import { expectRefused, Receiver } from './receiver.ts';

const PACK = 'application/x-tar';

describe('what an image needs', () => {
  it('is published with every blob of every platform', async () => {
    const receiver = await Receiver.open();
    const { blobs, artifact } = image();
    const bundle = seal({ sequence: 1, blobs, artifacts: [artifact] });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    const stored = await receiver.stored();
    for (const blob of blobs) expect(stored).toContain(digestOf(blob));
  });

  it('must all be there, in the bundle or in the store, with the size that its descriptor says', async () => {
    const { blobs, artifact, layers, manifests } = image();
    for (const absent of [layers[0], layers[2], manifests[1]!]) {
      const receiver = await Receiver.open();
      const rest = blobs.filter((blob) => blob !== absent);
      const bundle = seal({ sequence: 1, blobs: rest, artifacts: [artifact] });
      await receiver.take(bundle);
      await expectRefused(receiver, bundle, 'blob-missing');
      expect(await receiver.stored()).toEqual([]);

      await receiver.store.put(digestOf(absent), absent.length, absent);
      const sealed = seal({ sequence: 2, previous: bundle.id, blobs: rest, artifacts: [artifact] });
      await receiver.take(sealed);
      expect(receiver.state(sealed.id)).toBe('published');
    }
  });

  it('a file has the size that the release says, wherever it lies', async () => {
    const content = randomBytes(700);
    const wrong = fileOf(content, 'f/wrong', { size: 701, total: 701 });
    const receiver = await Receiver.open();
    const brought = seal({ sequence: 1, blobs: [content], artifacts: [wrong] });
    await receiver.take(brought);
    await expectRefused(receiver, brought, 'size-mismatch');
    await receiver.store.put(digestOf(content), content.length, content);
    const [more, other] = [randomBytes(10), randomBytes(10)];
    const artifacts = [wrong, fileOf(more, 'f/more'), fileOf(other, 'f/other')];
    const stored = seal({ sequence: 2, previous: brought.id, blobs: [more, other], artifacts });
    await receiver.take(stored);
    await expectRefused(receiver, stored, 'size-mismatch');
  });

  it('total, sizes and manifests are held against the statement', async () => {
    const { blobs, artifact } = image();
    const other = json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [{ digest: 'sha512:00' }] });
    const cases: [string, Partial<Artifact>, readonly Buffer[]][] = [
      ['total-mismatch', { total: artifact.total + 1 }, blobs],
      ['size-mismatch', { size: artifact.size - 1 }, blobs],
      ['manifest-malformed', { digest: digestOf(other), size: other.length }, [other, ...blobs.slice(1)]],
      ['manifest-malformed', { mediaType: OCI_MANIFEST }, blobs],
      ['blob-missing', { digest: digestOf(Buffer.from('absent')) }, blobs],
    ];
    for (const [code, over, content] of cases) {
      const receiver = await Receiver.open();
      const bundle = seal({ sequence: 1, blobs: content, artifacts: [{ ...artifact, ...over }] });
      await receiver.take(bundle);
      await expectRefused(receiver, bundle, code);
    }
  });
});

describe('packs', () => {
  const content = randomBytes(700);

  async function codeOf(...packs: readonly Uint8Array[]): Promise<string | undefined> {
    const receiver = await Receiver.open();
    const objects = (): Bundle['objects'] => packs.map((bytes) => pieceOf(bytes, PACK));
    const bundle = seal({ sequence: 1, blobs: [content], objects });
    await receiver.take(bundle);
    return receiver.state(bundle.id);
  }
  const member = (bytes: Uint8Array, digest = digestOf(bytes)) => ({ digest, bytes });

  it('that are none are refused, and so are members that are not what their names say', async () => {
    const good = writePack([member(content)]);
    expect(await codeOf(good)).toBe('published');
    expect(await codeOf(randomBytes(2048))).toBe('quarantined: tar-malformed');
    expect(await codeOf(good.subarray(0, good.length - 512))).toBe('quarantined: tar-malformed');
    expect(await codeOf(new Uint8Array(5 * 2 ** 20))).toBe('quarantined: tar-malformed');
    expect(await codeOf(writePack([member(randomBytes(700), digestOf(content))]))).toBe('quarantined: digest-mismatch');
    expect(await codeOf(good, writePack([member(randomBytes(20))]))).toBe('quarantined: blob-unlisted');
  });

  it('an empty file travels in one', async () => {
    const receiver = await Receiver.open();
    const empty = new Uint8Array(0);
    const bundle = seal({ sequence: 1, blobs: [empty, content] });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    expect(await receiver.store.stat(digestOf(empty))).toBe(0);
  });
});
